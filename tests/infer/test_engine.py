from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.tiny_bundle import FEATURES, SIZE, head_graph, model_graph, recipe, reference, weights

from insula.bundle.types import Bundle
from insula.core.errors import BundleError, UnsuitableScanError
from insula.core.recipe import ClinicalColumn
from insula.infer.engine import CHUNK, HEAD_CHUNK, Engine

W = weights(3, 2)
RECIPE = recipe()


def fed(x: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    return {"ct": x, "ct_mask": mask[:, None]}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.of_graphs(model_graph(W), head_graph(W), RECIPE, threads=1)


@pytest.mark.parametrize(("n", "s"), [(1, 1), (1, 7), (5, 2), (CHUNK + 3, 1), (3, CHUNK + 1)])
def test_outputs_equal_the_definition(engine: Engine, n: int, s: int) -> None:
    g = np.random.default_rng(n * 100 + s)
    x = g.random((n, s, 3, SIZE, SIZE), dtype=np.float32)
    mask = np.ones((n, s), np.float32)
    mask[0, 1:] = 0
    out, want = engine.run(fed(x, mask)), reference(W, x, mask)
    np.testing.assert_allclose(out.logits, want["logits"], atol=2e-5)
    np.testing.assert_allclose(out.embedding, want["embedding"], atol=2e-5)
    np.testing.assert_allclose(out.maps["ct"], want["maps"], atol=2e-5)
    np.testing.assert_allclose(out.slice_weights["ct"], want["slice_weights"], atol=2e-5)
    assert out.maps["ct"].shape == (n, 2, s, 4, 4)


def test_the_head_alone_equals_the_whole_without_dropout(engine: Engine) -> None:
    x = np.random.default_rng(0).random((4, 2, 3, SIZE, SIZE), dtype=np.float32)
    out = engine.run(fed(x, np.ones((4, 2), np.float32)))
    again = engine.head(out.embedding, np.ones_like(out.embedding))
    np.testing.assert_allclose(again, out.logits, atol=1e-6)


def test_the_head_works_through_more_rows_than_one_chunk(engine: Engine) -> None:
    e = np.random.default_rng(0).random((HEAD_CHUNK + 5, FEATURES), dtype=np.float32)
    got = engine.head(e, np.ones_like(e))
    np.testing.assert_allclose(got, e @ W.head.T + W.offset, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "mask", "said"),
    [
        ((1, 1, 1, SIZE, SIZE), (1, 1, 1), "channels"),
        ((1, 1, 3, SIZE, 8), (1, 1, 1), "channels, height, width"),
        ((1, 2, 3, SIZE, SIZE), (1, 1, 1), "mask"),
        ((1, 2, 3, SIZE, SIZE), (1, 2), "mask"),
        ((1, 2, 3, SIZE, SIZE), (1, 0, 2), "mask"),
        ((2, 3, SIZE, SIZE), (2, 1, 3), "at least one slice"),
        ((1, 0, 3, SIZE, SIZE), (1, 1, 0), "at least one slice"),
        ((2, 1, 3, SIZE, SIZE), (1, 1, 1), "different numbers of cases"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    engine: Engine, shape: tuple[int, ...], mask: tuple[int, ...], said: str
) -> None:
    with pytest.raises(UnsuitableScanError, match=said):
        engine.run({"ct": np.zeros(shape, np.float32), "ct_mask": np.ones(mask, np.float32)})


@pytest.mark.parametrize("names", [("ct",), ("ct", "ct_mask", "clinical"), ("mri", "mri_mask")])
def test_a_feed_of_other_names_is_refused(engine: Engine, names: tuple[str, ...]) -> None:
    with pytest.raises(UnsuitableScanError, match=r"takes \['ct', 'ct_mask'\], and it was given"):
        engine.run({name: np.zeros((1, 1, 3, SIZE, SIZE), np.float32) for name in names})


def test_values_that_are_not_finite_are_refused(engine: Engine) -> None:
    x = np.full((1, 1, 3, SIZE, SIZE), np.inf, np.float32)
    with pytest.raises(BundleError, match="not finite"):
        engine.run(fed(x, np.ones((1, 1), np.float32)))


def test_a_graph_with_other_inputs_is_refused() -> None:
    with pytest.raises(BundleError, match=r"model\.onnx.*mri"):
        Engine.of_graphs(model_graph(W, "mri"), head_graph(W), RECIPE)
    with pytest.raises(BundleError, match=r"head\.onnx"):
        Engine.of_graphs(model_graph(W), model_graph(W), RECIPE)
    with pytest.raises(BundleError, match="cannot be run"):
        Engine.of_graphs(b"no graph", head_graph(W), RECIPE)
    clinical = RECIPE.model_copy(update={"clinical": {"age": ClinicalColumn()}})
    with pytest.raises(BundleError, match="'clinical'"):
        Engine.of_graphs(model_graph(W), head_graph(W), clinical)


def test_an_engine_of_a_bundle_names_its_provider_and_warms_up(tiny_bundle: Callable[..., Bundle]) -> None:
    engine = Engine(tiny_bundle(), threads=1)
    engine.warm()
    assert engine.provider == "CPUExecutionProvider"
    assert "CPUExecutionProvider" in engine.available
    assert engine.input_shapes == {"ct": (1, SIZE, SIZE)}
