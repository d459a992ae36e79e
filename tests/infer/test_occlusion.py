"""Occlusion against its definition: cover, predict, subtract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from tests.tiny_bundle import reference, volume, weights

from insula.bundle.types import Bundle
from insula.core.errors import UsageError
from insula.infer.explainer import Asked, Patch, class_map
from insula.infer.occlusion import occlusion
from insula.infer.predict import Predictor

W = weights(1, 2)
SOFT = 1.5  # the tiny bundle's temperature


def asked(bundle: Bundle, count: int = 3, column: int = 1, **more: Any) -> Asked:
    predictor = Predictor(bundle, threads=1)
    prepared, _ = predictor.prepare(volume(count, seed=3))
    return Asked(predictor, {"ct": (prepared,)}, column, **more)


def score(slices: np.ndarray, column: int = 1) -> float:
    return float(reference(W, slices[None], np.ones((1, len(slices)), np.float32))["logits"][0, column])


def test_each_pixel_has_the_mean_drop_of_the_patches_over_it(tiny_bundle: Callable[..., Bundle]) -> None:
    question = asked(tiny_bundle(), patch=Patch(6, 5))
    slices = question.views["ct"][0]
    found = occlusion(question)
    before = score(slices)
    for s in range(3):
        blurred = cv2.GaussianBlur(slices[s, 0], (0, 0), 3.0, borderType=cv2.BORDER_REPLICATE)
        total, times = np.zeros((16, 16)), np.zeros((16, 16))
        for y in (0, 5, 10):
            for x in (0, 5, 10):
                covered = slices.copy()
                covered[s, 0, y : y + 6, x : x + 6] = blurred[y : y + 6, x : x + 6]
                total[y : y + 6, x : x + 6] += before - score(covered)
                times[y : y + 6, x : x + 6] += 1
        assert times.min() >= 1
        np.testing.assert_allclose(found.heatmaps["ct"].array[0, s], total / times, atol=1e-5)
    assert found.heatmaps["ct"].slices == (0, 1, 2)
    np.testing.assert_allclose(found.heatmaps["ct"].weights, 1 / 3, atol=1e-6)
    assert found.unit == "drop of the score"
    assert found.notes == ()


def test_the_mean_neighbours_and_probabilities(tiny_bundle: Callable[..., Bundle]) -> None:
    question = asked(tiny_bundle(), 4, patch=Patch(16, 16, 3, "mean"), measure="probability", slices={"ct": [3, 0]})
    slices = question.views["ct"][0]
    found = occlusion(question)
    assert found.heatmaps["ct"].slices == (0, 3)
    assert found.notes == ("heat was measured for some of the slices only",)
    mean = np.broadcast_to(slices.mean((2, 3), keepdims=True), slices.shape)

    def probability(shown: np.ndarray) -> float:
        logits = reference(W, shown[None], np.ones((1, 4), np.float32))["logits"][0] / SOFT
        return float(np.exp(logits[1]) / np.exp(logits).sum())

    for position, near in ((0, [0, 1, 2]), (1, [1, 2, 3])):  # at an end the same number of slices, all within
        covered = slices.copy()
        covered[near] = mean[near]
        drop = probability(slices) - probability(covered)
        np.testing.assert_allclose(found.heatmaps["ct"].array[0, position], drop, atol=1e-5)


def test_slices_that_are_inputs_of_their_own(tiny_bundle: Callable[..., Bundle]) -> None:
    question = asked(tiny_bundle(unit="image"), 20, patch=Patch(16, 16, 1, "mean"))
    slices = question.views["ct"][0]
    heat = occlusion(question).heatmaps["ct"]
    for s in range(20):
        mean = np.full_like(slices[s : s + 1], slices[s].mean())
        assert heat.array[0, s, 3, 3] == pytest.approx(score(slices[s : s + 1]) - score(mean), abs=1e-5)
    np.testing.assert_allclose(heat.weights, 1 / 20)


def test_what_a_patch_does_not_change_costs_nothing(tiny_bundle: Callable[..., Bundle]) -> None:
    question = asked(tiny_bundle(), patch=Patch(8, 8))
    flat = question.views["ct"][0].copy()
    flat[:] = 0.3
    flat[1, 0, :6, :6] = 0.9
    runs: list[int] = []
    engine = question.predictor.engine
    run = engine.run

    def counted(feed: Any) -> Any:
        runs.append(len(feed["ct"]))
        return run(feed)

    engine.run = counted  # type: ignore[method-assign]
    steps: list[tuple[int, int]] = []
    found = occlusion(
        Asked(question.predictor, {"ct": (flat,)}, 1, patch=Patch(8, 8), progress=lambda *at: steps.append(at))
    )
    assert sum(runs) <= 1 + 4  # the case itself, and the patches of one slice
    assert float(np.abs(found.heatmaps["ct"].array[0, [0, 2]]).max()) == 0.0
    assert float(np.abs(found.heatmaps["ct"].array[0, 1]).max()) > 0.0
    assert steps[-1] == (12, 12)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@pytest.mark.parametrize("wrong", [(8, 9, 1), (0, 1, 1), (8, 8, 0), (8, 0, 1)])
def test_a_patch_that_leaves_pixels_out_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="leaves pixels out"):
        Patch(*wrong)


def test_the_edges_are_covered_whatever_the_stride() -> None:
    from insula.infer.occlusion import _boxes

    for side in (5, 16, 17, 31, 33):
        for size, stride in ((4, 4), (7, 3), (8, 5), (40, 40)):
            times = np.zeros((side, side + 3))
            for box in _boxes(times.shape, Patch(size, stride)):
                times[box] += 1
            assert times.min() >= 1


def test_neighbours_stay_in_their_series() -> None:
    from insula.infer.occlusion import _near

    mask = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]], np.float32)
    assert _near(mask, 1, 3) == [0, 1, 2]
    assert _near(mask, 0, 3) == [0, 1, 2]
    assert _near(mask, 3, 3) == [3, 4]
    assert _near(mask, 4, 1) == [4]


def test_the_class_map_of_one_column(tiny_bundle: Callable[..., Bundle]) -> None:
    question = asked(tiny_bundle(), column=0)
    wanted = reference(W, question.views["ct"][0][None], np.ones((1, 3), np.float32))["maps"][0, 0]
    np.testing.assert_allclose(class_map(question).heatmaps["ct"].array[0], wanted, atol=1e-5)
