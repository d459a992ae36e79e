from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.tiny_bundle import parts, recipe, reference, volume, weights

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.core.errors import LimitError, ScanError, UnsuitableScanError
from insula.core.types import Case, Scan
from insula.infer import feed
from insula.infer.predict import Predictor
from insula.infer.sampling import keep_masks
from insula.infer.suitable import NoSuchScanError
from insula.infer.views import View, of_recipe, show
from insula.prep.run import prepare

W = weights(1, 2)


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: np.ndarray = e / e.sum(axis=-1, keepdims=True)
    return result


def test_a_series_is_one_input_and_its_probability_that_of_the_definition(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    scan = volume(5)
    got = Predictor(bundle).volume(scan, "case-1", passes=0)
    want = reference(W, prepare(scan, bundle.recipe.input)[None], np.ones((1, 5), np.float32))
    np.testing.assert_allclose(got.probabilities, softmax(want["logits"][0] / 1.5), atol=1e-5)
    np.testing.assert_allclose(got.embedding, want["embedding"][0], atol=1e-5)
    np.testing.assert_allclose(got.heatmaps["ct"].array, want["maps"][0], atol=1e-5)
    assert got.heatmaps["ct"].slices == (0, 1, 2, 3, 4)
    assert got.spread is None
    assert (got.case, got.bundle_id, got.target) == ("case-1", bundle.id, "answer")
    assert got.probabilities.dtype == np.float32


@pytest.mark.parametrize("how", ["mean", "max"])
def test_images_are_inputs_of_their_own_and_their_probabilities_are_pooled(
    tiny_bundle: Callable[..., Bundle], how: str
) -> None:
    bundle = tiny_bundle(unit="image", aggregate=how)
    scan = volume(20)
    got = Predictor(bundle).volume(scan, "c")
    slices = prepare(scan, bundle.recipe.input)
    want = reference(W, slices[:, None], np.ones((20, 1), np.float32))
    each = softmax(want["logits"] / 1.5)
    pooled = each.mean(axis=0) if how == "mean" else each.max(axis=0) / each.max(axis=0).sum()
    np.testing.assert_allclose(got.probabilities, pooled, atol=1e-5)
    np.testing.assert_allclose(got.heatmaps["ct"].array, want["maps"][:, :, 0].transpose(1, 0, 2, 3), atol=1e-5)
    np.testing.assert_allclose(got.heatmaps["ct"].weights, 1 / 20)


def test_the_spread_is_that_of_the_head_under_the_documented_masks(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    got = Predictor(bundle).volume(volume(), "c", passes=25)
    keep = keep_masks(got.embedding, 25, 0.3, bundle.recipe.seed)
    p = softmax(((got.embedding * keep) @ W.head.T + W.offset) / 1.5)
    assert got.spread is not None
    np.testing.assert_allclose(got.spread, p.std(axis=0), atol=1e-5)
    assert got.spread.min() > 0.01


def test_the_spread_of_pooled_images_is_that_of_the_pooled_probability(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle(unit="image")
    predictor = Predictor(bundle)
    scan = volume(4)
    got = predictor.volume(scan, "c", passes=15)
    slices, _ = predictor.prepare(scan)
    each = reference(W, slices[:, None], np.ones((4, 1), np.float32))["embedding"]
    exact = predictor.engine.run({"ct": slices[:, None], "ct_mask": np.ones((4, 1, 1), np.float32)}).embedding
    keep = keep_masks(exact, 15, 0.3, bundle.recipe.seed)
    runs = [softmax(((row * keep) @ W.head.T + W.offset) / 1.5) for row in each]
    assert got.spread is not None
    np.testing.assert_allclose(got.spread, np.mean(runs, axis=0).std(axis=0), atol=1e-5)


def test_twice_the_same_scan_is_twice_the_same_answer(tiny_bundle: Callable[..., Bundle]) -> None:
    predictor = Predictor(tiny_bundle())
    first = predictor.volume(volume(), "a", passes=12)
    predictor.volume(volume(seed=9), "b", passes=12)
    again = predictor.volume(volume(), "a", passes=12)
    assert first.spread is not None
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    np.testing.assert_array_equal(first.spread, again.spread)


def test_a_model_without_dropout_says_so_instead_of_a_spread_of_zero(tiny_bundle: Callable[..., Bundle]) -> None:
    got = Predictor(tiny_bundle(dropout=0.0)).volume(volume(), "c", passes=12)
    assert got.spread is None
    assert any("no dropout" in w for w in got.warnings)


def test_a_scan_of_another_modality_is_refused(tiny_bundle: Callable[..., Bundle]) -> None:
    with pytest.raises(UnsuitableScanError, match="MR"):
        Predictor(tiny_bundle()).volume(replace(volume(), modality="MR"), "c")


def test_a_scan_far_from_the_training_scores_one(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    near = Predictor(tiny_bundle()).volume(volume(), "c")
    made = parts(recipe(), W)
    far = save(tmp_path / "far", replace(made, baseline=replace(made.baseline, embedding_mean=np.full(6, 90.0))))
    assert near.domain_score < 1.0
    assert Predictor(far).volume(volume(), "c").domain_score == 1.0


def test_too_many_slices_of_one_series_are_refused(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_SLICES", 4)
    with pytest.raises(LimitError, match="pick_slices"):
        Predictor(tiny_bundle()).volume(volume(5), "c")


def test_path_and_case_give_the_same_answer_and_say_what_was_not_checked(tmp_path: Path) -> None:
    made = recipe()
    shown = made.inputs["ct"].prep[0].model_copy(update={"params": {"value": [[40, 80]], "pictures": "as_shown"}})
    section = made.inputs["ct"].model_copy(update={"prep": (shown, made.inputs["ct"].prep[1])})
    bundle = save(tmp_path / "b", parts(made.model_copy(update={"inputs": {"ct": section}}), W))
    pixels = np.random.default_rng(0).integers(0, 255, (30, 30), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "slice.png")
    predictor = Predictor(bundle)
    by_path = predictor.path(tmp_path / "slice.png")
    case = Case("k", "p", {"ct": Scan(("slice.png",), "png")}, {})
    by_case = predictor.case(case, tmp_path)
    np.testing.assert_array_equal(by_path.probabilities, by_case.probabilities)
    assert by_path.case == "slice.png"
    said = [w for w in by_path.warnings if "own window was kept" in w]
    assert said == ["not HU: the picture's own window was kept"]  # by the step that did it, and once
    assert any("modality" in w for w in by_path.warnings)
    with pytest.raises(UnsuitableScanError, match="'ct'"):
        predictor.case(replace(case, scans={}), tmp_path)
    with pytest.raises(ScanError):
        predictor.path(tmp_path / "nothing.png")


def test_draws_pool_to_the_prediction_when_nothing_is_dropped_and_nothing_moved(
    tiny_bundle: Callable[..., Bundle],
) -> None:
    predictor = Predictor(tiny_bundle(unit="image", dropout=1e-9))
    scan = volume(3)
    slices, _ = predictor.prepare(scan)
    plain = predictor.volume(scan, "c").probabilities
    runs = predictor.draws(slices, "dropout", 4)
    assert runs.shape == (4, 2)
    np.testing.assert_allclose(runs, np.tile(plain, (4, 1)), atol=1e-6)
    np.testing.assert_allclose(predictor.draws(slices, "views")[0], plain, atol=1e-6)


@pytest.mark.parametrize("unit", ["series", "image"])
def test_views_are_the_answers_to_the_scan_moved_as_in_training(tiny_bundle: Callable[..., Bundle], unit: str) -> None:
    bundle = tiny_bundle(unit=unit)
    predictor = Predictor(bundle)
    scan = volume(20)
    slices, _ = predictor.prepare(scan)
    got = predictor.volume(scan, "c", ask=["views"])
    shown = [View(), *of_recipe(bundle.recipe.train.augment)]
    each = [predictor.from_slices(show(slices, view), "c").probabilities for view in shown]
    assert len(each) == 9
    found = got.uncertainty["views"]
    assert found.draws == 9
    np.testing.assert_allclose(found.mean, np.mean(each, axis=0), atol=1e-6)
    np.testing.assert_allclose(found.spread, np.std(each, axis=0), atol=1e-6)
    assert found.spread.min() > 1e-4
    assert (found.low < found.mean).all()
    assert (found.mean < found.high).all()
    assert got.spread is None  # of dropout, which was not asked for
    np.testing.assert_array_equal(got.probabilities, predictor.volume(scan, "c").probabilities)


def test_sources_that_a_model_does_not_have_are_said(tiny_bundle: Callable[..., Bundle]) -> None:
    got = Predictor(tiny_bundle(dropout=0.0)).volume(volume(), "c", ask=("dropout", "views", "members"))
    assert set(got.uncertainty) == {"views"}
    assert [w for w in got.warnings if w.startswith("no spread")] == [
        "no spread: the model has no dropout",
        "no spread over members: the model is one network",
    ]


def test_asking_for_dropout_takes_the_recipes_number_of_passes(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    got = Predictor(bundle).volume(volume(), "c", ask=["dropout"])
    assert got.uncertainty["dropout"].draws == bundle.recipe.policy.passes == 12
    np.testing.assert_array_equal(got.spread, got.uncertainty["dropout"].spread)


def test_what_is_no_such_scan_is_refused_before_the_model(tiny_bundle: Callable[..., Bundle]) -> None:
    predictor = Predictor(tiny_bundle())
    knee = replace(volume(), attributes={"body_part": "KNEE"})
    with pytest.raises(NoSuchScanError, match="KNEE"):
        predictor.volume(knee, "c")
    air = replace(volume(), array=np.full((1, 3, 24, 24), -1000.0, np.float32) + np.eye(24, dtype=np.float32))
    with pytest.raises(NoSuchScanError, match="after the recipe's steps"):
        predictor.volume(air, "c")
    odd = predictor.volume(replace(volume(), attributes={"body_part": "KOPF"}), "c")
    assert any("'KOPF' is not known" in w for w in odd.warnings)


def test_a_set_that_holds_a_kind_holds_the_finding_too(tmp_path: Path) -> None:
    made = parts(recipe("multilabel"), weights(1, 3))
    conformal = replace(made.decision, conformal=(0.0, 1.0, 0.0))  # rules out `any`, keeps `subdural`
    bundle = save(tmp_path / "b", replace(made, decision=conformal))
    assert Predictor(bundle).volume(volume(), "c").prediction_set == ("any", "subdural")
    nothing = save(tmp_path / "n", replace(made, decision=replace(made.decision, conformal=(0.0, 0.0, 0.0))))
    assert Predictor(nothing).volume(volume(), "c").prediction_set == ()
