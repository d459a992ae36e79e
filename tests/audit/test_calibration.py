from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from tests.audit import made_groups

from insula.audit.calibration import CHECK, confidence_gap, judge
from insula.audit.ground import Ground
from insula.core.recipe_audit import Audit, Calibration
from insula.core.types import Finding
from insula.metrics.calibration_slope import doubt

Floats = NDArray[np.float64]


def calibrated(seed: int, n: int = 300, spread: float = 2.0) -> tuple[NDArray[np.bool_], Floats]:
    """Labels drawn from probabilities that are right."""
    rng = np.random.default_rng(seed)
    p: Floats = expit(rng.normal(0, spread, n))
    return rng.random(n) < p, p


def found(y: NDArray[np.bool_], p: Floats, patients: list[str] | None = None, **limits: Any) -> dict[str, Finding]:
    made = made_groups.ground(y, p, [{}] * len(y), patients)
    return {f.check: f for f in judge(_with(made, Calibration(**limits)), pd.DataFrame()).findings}


def _with(made: Ground, limits: Calibration) -> Ground:
    made.bundle.recipe = made.bundle.recipe.model_copy(update={"audit": Audit(calibration=limits)})  # type: ignore[misc]
    return made


@pytest.mark.parametrize(("slope", "how"), [(0.25, "too extreme"), (4.0, "too timid")])
def test_a_planted_slope_is_found(slope: float, how: str) -> None:
    fails = 0
    for seed in range(10):
        y, p = calibrated(seed)
        one = found(y, expit(logit(p) / slope))["calibration/slope"]
        fails += one.verdict == "fail" and how in one.evidence
    assert fails >= 9


def test_probabilities_that_are_right_never_fail_and_mostly_pass() -> None:
    verdicts = [one.verdict for seed in range(20) for one in found(*calibrated(seed)).values()]
    assert "fail" not in verdicts
    assert verdicts.count("pass") > 30


def test_the_distance_of_the_slope_counts_either_way() -> None:
    y, p = calibrated(0, 20_000)
    for slope, apart in ((0.5, 0.5), (1.0, 0.0), (2.0, 1.0)):
        one = found(y, expit(logit(p) / slope))["calibration/slope"]
        assert one.value == pytest.approx(apart, abs=0.12)
        assert one.interval is not None
        assert one.interval[0] <= one.value <= one.interval[1]


def test_classes_that_are_separated_cannot_be_told() -> None:
    y = np.arange(40) % 2 == 1
    one = found(y, np.where(y, 0.9, 0.1) + np.linspace(-0.05, 0.05, 40))["calibration/slope"]
    assert (one.verdict, one.interval) == ("cannot tell", None)
    assert one.evidence == (
        "The slope of the logits has no estimate, which is no sign that they are wrong. No interval: the probabilities "
        "separate the classes, or are all the same."
    )


def test_a_slope_that_rests_on_a_few_doubtful_answers_is_not_judged() -> None:
    rng = np.random.default_rng(1)
    y = rng.random(200) < 0.5
    p = np.where(y, 0.95, 0.05) + rng.uniform(-0.04, 0.04, 200)
    p[np.flatnonzero(y)[:2]], p[np.flatnonzero(~y)[:2]] = (0.4, 0.55), (0.45, 0.6)
    assert 0 < doubt(y, p) < 10
    one = found(y, p)["calibration/slope"]
    assert one.interval is not None
    assert one.interval[0] > 0.5  # too timid by far, had it been judged
    assert one.verdict == "cannot tell"
    assert "patients' worth of doubt" in one.evidence


def test_doubt_is_that_of_the_recalibrated_probabilities() -> None:
    y, p = calibrated(0, 4000)
    assert doubt(y, p) == pytest.approx((4 * p * (1 - p)).sum(), rel=0.05)
    assert doubt(y, expit(5 * logit(p))) == pytest.approx(doubt(y, p), rel=0.01)  # whatever the slope
    assert doubt(np.arange(40) >= 20, np.arange(40) / 40) == 0.0


def test_one_class_alone_cannot_be_told() -> None:
    one = found(np.ones(30, bool), np.linspace(0.3, 0.9, 30))["calibration/slope"]
    assert (one.verdict, np.isnan(one.value)) == ("cannot tell", True)
    assert "fewer than 3 patients of a class" in one.evidence


def test_the_gap_is_mean_confidence_less_the_share_right() -> None:
    y = np.array([True, True, False, False, True])
    p = np.array([0.9, 0.4, 0.2, 0.5, 0.6])
    gap = confidence_gap(y, p, np.arange(5), 200, 0)
    assert gap.value == pytest.approx((0.9 + 0.6 + 0.8 + 0.5 + 0.6) / 5 - 3 / 5)  # 0.5 counts as positive: wrong here


def test_a_model_that_is_surer_than_it_is_right_is_found_and_said() -> None:
    rng = np.random.default_rng(0)
    y = rng.random(300) < 0.5
    wrong = rng.random(300) < 0.3
    over = found(y, np.where(y ^ wrong, 0.97, 0.03))["calibration/confidence"]
    assert over.verdict == "fail"
    assert over.evidence == f"On average the model is {over.value:.3f} surer than it is right."
    under = found(y, np.where(y, 0.6, 0.4) + rng.uniform(-0.05, 0.05, 300))["calibration/confidence"]
    assert under.verdict == "fail"
    assert "righter than it is sure" in under.evidence


def test_a_patient_with_many_cases_counts_once() -> None:
    y, p = calibrated(1, 120)
    owners = [f"p{i // 2}" if y[i] == y[i ^ 1] else f"q{i}" for i in range(120)]
    one = found(y, p, owners)["calibration/slope"]
    assert one.value == pytest.approx(found(*_pooled(y, p, owners))["calibration/slope"].value)


def _pooled(y: NDArray[np.bool_], p: Floats, owners: list[str]) -> tuple[NDArray[np.bool_], Floats]:
    table = pd.DataFrame({"y": y, "p": p, "o": owners}).groupby("o").agg({"y": "any", "p": "mean"})
    return table["y"].to_numpy(bool), table["p"].to_numpy(float)


def test_each_limit_of_the_recipe_is_held() -> None:
    y, p = calibrated(0)
    p = expit(logit(p) / 0.25)

    def verdicts(**limits: Any) -> list[str]:
        return [one.verdict for one in found(y, p, **limits).values()]

    assert verdicts(slope=0.5, confidence=0.01) == ["fail", "fail"]
    assert verdicts(slope=0.99, confidence=0.01) == ["pass", "fail"]
    assert verdicts(slope=0.5, confidence=0.5) == ["fail", "pass"]
    assert verdicts(slope=None, confidence=None) == ["cannot tell"] * 2
    assert CHECK.measure is None
