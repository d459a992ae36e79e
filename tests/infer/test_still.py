"""No explainer and no sampler of the light wing changes a bundle, a session, or an array that it is handed.

A session shows no buffers, so what can be hashed is: the bundle's files, and its answer to the same case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.infer.sealed import Handed, ensemble, handed, seal
from tests.tiny_bundle import head_graph, model_graph, recipe, volume, weights

from insula.bundle.types import Bundle
from insula.infer import explained_files, heatmap, slice_weights, uncertainty_draws
from insula.infer.engine import Engine
from insula.infer.explainer import Patch, class_map
from insula.infer.occlusion import occlusion
from insula.infer.sampling import sample
from insula.infer.uncertainty import SOURCES, of_draws
from insula.infer.views import feeds, of_recipe, show


def _predict(case: Handed) -> Any:
    return case.predictor.from_slices(case.slices, "c", 7, ask=SOURCES)


def _drawn(source: Any) -> Callable[[Handed], Any]:
    def run(case: Handed) -> Any:
        return uncertainty_draws.draw(source, case.engine, case.bundle.recipe, case.feed, case.outputs, 7)

    return run


def _of_draws(case: Handed) -> Any:
    assert case.outputs.members is not None
    drawn = case.outputs.members[0].astype(np.float64)
    before = drawn.copy()
    found = of_draws(drawn, "multiclass")
    np.testing.assert_array_equal(drawn, before)
    return found


def _files(case: Handed) -> Any:
    explained = class_map(case.asked)
    before = explained.heatmaps["ct"].array.copy()
    folder = case.bundle.path.parent / "out"
    found = explained_files.write(
        explained,
        case.asked.views,
        {"ct": volume(3, seed=3)},
        case.bundle.recipe,
        folder,
        "x",
        explained_files.Drawing(),
    )
    np.testing.assert_array_equal(explained.heatmaps["ct"].array, before)
    return found


CALLS: dict[str, Callable[[Handed], Any]] = {
    "prediction": _predict,
    "class_map": lambda case: class_map(case.asked),
    "occlusion by blur": lambda case: occlusion(case.asked),
    "occlusion by mean, probability": lambda case: occlusion(
        replace(case.asked, patch=Patch(16, 16, 3, "mean"), measure="probability")
    ),
    "dropout": _drawn("dropout"),
    "views": _drawn("views"),
    "members": _drawn("members"),
    "dropout of the heads": lambda case: sample(case.engine, case.outputs.embedding, 7, 0.3, 5),
    "one view": lambda case: [show(case.slices, view) for view in of_recipe(case.bundle.recipe.train.augment)],
    "feeds of views": lambda case: list(feeds(case.feed, ("ct",), of_recipe(case.bundle.recipe.train.augment), 8)),
    "draws of dropout, pooled": lambda case: case.predictor.draws(case.slices, "dropout"),
    "draws of views, pooled": lambda case: case.predictor.draws(case.slices, "views"),
    "draws of members, pooled": lambda case: case.predictor.draws(case.slices, "members"),
    "what draws say": _of_draws,
    "weights of slices": lambda case: slice_weights.rows(_predict(case).heatmaps, 1),
    "pictures of a prediction": lambda case: heatmap.write_case(
        _predict(case), case.slices, case.bundle.path.parent / "png", case.bundle.recipe, ("normal", "stroke")
    ),
    "files of an explanation": _files,
}


@pytest.mark.parametrize("unit", ["series", "image"])
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_changed(tmp_path: Path, name: str, unit: str) -> None:
    case = handed(ensemble(tmp_path, unit))
    before = seal(case)
    assert CALLS[name](case) is not None
    assert seal(case) == before


def test_every_source_of_draws_is_looked_at(tmp_path: Path) -> None:
    case = handed(ensemble(tmp_path, "series"))
    assert set(SOURCES) <= set(CALLS)
    assert set(_predict(case).uncertainty) == set(SOURCES)  # none is left out for want of draws


@pytest.mark.parametrize("name", ["prediction", "occlusion by blur", "dropout", "views", "members"])
def test_arrays_that_cannot_be_written_to_are_enough(tmp_path: Path, name: str) -> None:
    case = handed(ensemble(tmp_path, "series"))
    for array in (case.slices, *case.feed.values(), case.outputs.logits, case.outputs.embedding):
        array.setflags(write=False)
    assert CALLS[name](case) is not None


def _writes_into_slices(case: Handed) -> None:
    case.slices[0] = show(case.slices[0], of_recipe(case.bundle.recipe.train.augment)[0])


def _writes_into_embedding(case: Handed) -> None:
    case.outputs.embedding[:] *= 0.7


def _leaves_a_file(case: Handed) -> None:
    (case.bundle.path / "head.onnx").write_bytes(head_graph(weights(1, 2, seed=2)))


def _exchanges_the_network(case: Handed) -> None:
    other = weights(1, 2, seed=2)
    case.engine._model = Engine.of_graphs(model_graph(other), head_graph(other), recipe(), 1)._model


def _exchanges_the_heads(case: Handed) -> None:
    other = weights(1, 2, seed=2)
    case.engine._head = Engine.of_graphs(model_graph(other), head_graph(other), recipe(), 1)._head


def _draws_from_everybodys_generator(case: Handed) -> None:
    np.random.random(700)  # noqa: NPY002


@pytest.mark.parametrize(
    ("wrong", "shows"),
    [
        (_writes_into_slices, "slices"),
        (_writes_into_embedding, "outputs embedding"),
        (_leaves_a_file, "file head.onnx"),
        (_exchanges_the_network, "answer logits"),
        (_exchanges_the_heads, "answer of the heads"),
        (_draws_from_everybodys_generator, "random"),
    ],
)
def test_a_call_that_changes_something_is_seen(
    tiny_bundle: Callable[..., Bundle], wrong: Callable[[Handed], None], shows: str
) -> None:
    case = handed(tiny_bundle())
    before = seal(case)
    wrong(case)
    after = seal(case)
    assert shows in {name for name in before if before[name] != after[name]}
