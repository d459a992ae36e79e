from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests import tiny_bundle

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.infer import suitable_statistics
from insula.infer.decide import decide, withheld
from insula.infer.predict import Predictor
from insula.infer.suitable_statistics import CHOSEN, width
from insula.serve.monitor.kept import monitored, reference

pytestmark = pytest.mark.serve


def scaled(folder: Path, kind: str = "multiclass") -> Bundle:
    recipe = tiny_bundle.recipe(kind, refuse={"distance": None})
    parts = tiny_bundle.rejecting(tiny_bundle.parts(recipe, tiny_bundle.weights(1, len(recipe.target.classes))))
    return save(folder / "bundle", parts)


def test_the_numbers_of_a_prediction_are_kept_short_and_by_name(tmp_path: Path) -> None:
    predictor = Predictor(scaled(tmp_path))
    prepared, _ = predictor.prepare(tiny_bundle.volume())
    prediction = predictor.from_slices(prepared, "someone")
    kept = monitored(prediction, predictor.bundle)
    assert kept["distance"] == pytest.approx(prediction.distances["all"], rel=1e-5)
    numbers = suitable_statistics.of_bags([prepared])
    assert kept["picture/ct/brightness"] == pytest.approx(numbers[0], rel=1e-5)
    assert kept["picture/ct/edges"] == pytest.approx(numbers[9], rel=1e-5)
    assert kept["score/stroke"] == pytest.approx(float(prediction.probabilities[1]), rel=1e-5)
    assert len(kept) == 2 + len(CHOSEN)
    text = json.dumps(kept)
    assert "someone" not in text
    assert len(text) < 500


def test_every_channel_of_the_reference_is_found_again_in_what_was_kept(tmp_path: Path) -> None:
    predictor = Predictor(scaled(tmp_path, "multilabel"))
    kept = monitored(predictor.volume(tiny_bundle.volume(), "x"), predictor.bundle)
    known = reference(predictor.bundle)
    assert len(known.channels) == 1 + len(CHOSEN) + 3
    assert known.channels[0] == "distance"
    assert known.channels[-1] == "score/epidural"
    assert tuple(kept) == known.channels


def test_a_rejected_scan_leaves_no_answer_behind(tmp_path: Path) -> None:
    recipe = tiny_bundle.recipe(refuse={"distance": 2.0})
    bundle = save(tmp_path / "bundle", tiny_bundle.rejecting(tiny_bundle.parts(recipe, tiny_bundle.weights(1, 2))))
    prediction = Predictor(bundle).volume(tiny_bundle.volume(), "x")
    decision = decide(prediction, bundle)
    assert decision.action == "reject"
    kept = monitored(withheld(prediction, decision), bundle)
    assert kept["distance"] > 2.0
    assert not [name for name in kept if name.startswith("score")]


def test_a_bundle_without_a_scale_gives_the_share_of_nearer_cases_and_no_pictures(tmp_path: Path) -> None:
    bundle = tiny_bundle.make(tmp_path)
    prediction = Predictor(bundle).volume(tiny_bundle.volume(), "x")
    kept, known = monitored(prediction, bundle), reference(bundle)
    assert kept["distance"] == pytest.approx(prediction.domain_score, rel=1e-5)
    assert tuple(kept) == known.channels
    assert known.channels == ("distance", "score/stroke")
    np.testing.assert_allclose(known.distances, np.arange(1, 41) / 40)


def test_named_picture_numbers_do_not_depend_on_the_number_of_channels() -> None:
    one = np.random.default_rng(0).random((5, 1, 32, 32), np.float32)
    single = suitable_statistics.chosen(suitable_statistics.of_bags([one]))
    triple = suitable_statistics.chosen(suitable_statistics.of_bags([np.repeat(one, 3, axis=1)]))
    assert single == pytest.approx(triple, rel=1e-4)
    blank = suitable_statistics.chosen(np.zeros(width(2)))
    assert set(blank.values()) == {0.0}


def test_noise_light_and_a_bright_rim_each_move_the_number_that_is_named_for_them() -> None:
    g = np.random.default_rng(1)
    plain = np.full((4, 1, 64, 64), 0.4, np.float32)
    plain[:, :, 20:44, 20:44] = 0.6
    rim = plain.copy()
    rim[:, :, :2] = 1.0

    def of(scan: np.ndarray) -> dict[str, float]:
        return suitable_statistics.chosen(suitable_statistics.of_bags([scan]))

    own, noisy, lighter = of(plain), of(plain + g.normal(0, 0.05, plain.shape).astype(np.float32)), of(plain + 0.1)
    assert noisy["roughness"] > 5 * own["roughness"]
    assert lighter["brightness"] == pytest.approx(own["brightness"] + 0.1, abs=1e-3)
    assert lighter["median"] == pytest.approx(own["median"] + 0.1, abs=1e-3)
    assert lighter["edges"] == pytest.approx(own["edges"], abs=1e-5)
    assert of(rim)["border"] > own["border"] + 0.05


def test_replaced_recipes_keep_the_positive_class_of_two_alone(tmp_path: Path) -> None:
    bundle = scaled(tmp_path)
    three = tiny_bundle.recipe("multilabel")
    assert reference(bundle).classes == ("stroke",)
    assert reference(replace(bundle, recipe=three)).classes == tiny_bundle.LABELS
