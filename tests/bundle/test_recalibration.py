"""What is fitted after the temperature travels in the bundle, and is refused where it does not fit the recipe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tiny_bundle import parts, recipe, volume, weights

from insula.bundle.layout import LIMITS, MANIFEST
from insula.bundle.load import load
from insula.bundle.save import manifest_bytes, save
from insula.core.errors import BundleError
from insula.evaluate.facts import of_recipe
from insula.infer.predict import Predictor
from insula.metrics.recalibrate import Recalibration

STEPS = Recalibration("isotonic", "multiclass", ((0.0, 0.5, 1.0, 0.2, 0.6, 0.9), (0.0, 0.5, 1.0, 0.1, 0.4, 0.8)))


def test_a_prediction_goes_through_the_steps_that_the_bundle_holds(tmp_path: Path) -> None:
    made = parts(recipe(calibration="isotonic"), weights(1, 2))
    save(tmp_path / "b", replace(made, decision=replace(made.decision, recalibration=STEPS)))
    bundle = load(tmp_path / "b")
    assert bundle.decision.recalibration == STEPS
    plain = Predictor(save(tmp_path / "p", parts(recipe(), weights(1, 2))))
    p = plain.volume(volume(), "c").probabilities.astype(float)
    stepped = np.array([np.interp(p[0], [0, 0.5, 1], [0.2, 0.6, 0.9]), np.interp(p[1], [0, 0.5, 1], [0.1, 0.4, 0.8])])
    got = Predictor(bundle).volume(volume(), "c").probabilities
    np.testing.assert_allclose(got, stepped / stepped.sum(), atol=1e-6)
    assert abs(got[0] - p[0]) > 0.01


@pytest.mark.parametrize(
    ("asked", "held", "said"),
    [
        ("isotonic", None, "recalibrates by 'None' and its recipe by 'isotonic'"),
        ("temperature", STEPS.to_dict(), "by 'isotonic' and its recipe by 'None'"),
        ("isotonic", STEPS.to_dict() | {"kind": "multilabel"}, "of a multilabel target"),
        ("isotonic", STEPS.to_dict() | {"classes": [[0.0, 1.0]]}, "1 classes"),
        ("isotonic", STEPS.to_dict() | {"classes": [[0.0, 1.0, 0.9, 0.1]] * 2}, "steps that fall"),
        ("logistic", {"how": "logistic", "kind": "multiclass", "classes": [[0.0]] * 2}, "wrong number of values"),
    ],
)
def test_a_recalibration_that_does_not_fit_is_refused(tmp_path: Path, asked: str, held: Any, said: str) -> None:
    folder = save(tmp_path / "b", parts(recipe(), weights(1, 2))).path
    text = (folder / "recipe.yaml").read_text(encoding="utf-8")
    (folder / "recipe.yaml").write_text(text.replace("calibration: temperature", f"calibration: {asked}"))
    facts = json.loads((folder / "decision.json").read_bytes()) | {"recalibration": held}
    (folder / "decision.json").write_text(json.dumps(facts))
    (folder / MANIFEST).write_bytes(manifest_bytes({n: (folder / n).read_bytes() for n in LIMITS}))
    with pytest.raises(BundleError, match=said):
        load(folder)


def test_the_power_of_a_learned_aggregate_travels_and_pools(tmp_path: Path) -> None:
    made = parts(recipe(unit="image", aggregate="learned"), weights(1, 2))
    save(tmp_path / "b", replace(made, decision=replace(made.decision, power=9.0)))
    bundle = load(tmp_path / "b")
    assert bundle.decision.power == 9.0
    single = Predictor(save(tmp_path / "p", parts(recipe(unit="image"), weights(1, 2))))
    scan = volume(6)
    each = [single.volume(replace(scan, array=scan.array[:, i : i + 1]), "c").probabilities for i in range(6)]
    want = (np.stack(each).astype(float) ** 9).mean(axis=0) ** (1 / 9)
    got = Predictor(bundle).volume(scan, "c").probabilities
    np.testing.assert_allclose(got, want / want.sum(), atol=1e-5)
    assert of_recipe(bundle.recipe, bundle.decision.thresholds, bundle.decision.power).power == 9.0
