from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import fbeta_score, roc_curve

from insula.core.errors import EvaluationError
from insula.core.recipe import OperatingPoint
from insula.metrics.thresholds import choose

_RNG = np.random.default_rng(8)
Y = _RNG.random(80) < 0.4
P = np.round(np.clip(0.25 * Y + 0.75 * _RNG.random(80), 0, 0.95), 2)
GRID = np.append(np.unique(P), 1.0)


def reached(y: np.ndarray, p: np.ndarray, t: float) -> tuple[float, float]:
    return float((p[y] >= t).mean()), float((p[~y] < t).mean())


@pytest.mark.parametrize("aim", [0.0, 0.5, 0.9, 0.95, 1.0])
def test_an_aimed_sensitivity_is_reached_by_the_largest_threshold_that_can(aim: float) -> None:
    t = choose(Y, P, OperatingPoint(sensitivity=aim))
    assert reached(Y, P, t)[0] >= aim
    above = [g for g in GRID if g > t]
    assert all(reached(Y, P, g)[0] < max(aim, 1e-9) for g in above)


@pytest.mark.parametrize("aim", [0.0, 0.5, 0.9, 0.95, 1.0])
def test_an_aimed_specificity_is_reached_by_the_smallest_threshold_that_can(aim: float) -> None:
    t = choose(Y, P, OperatingPoint(specificity=aim))
    assert reached(Y, P, t)[1] >= aim
    assert all(reached(Y, P, g)[1] < aim for g in GRID if g < t)


def test_youden_finds_the_corner_of_the_roc_curve() -> None:
    fpr, tpr, _ = roc_curve(Y, P)
    found = reached(Y, P, choose(Y, P, OperatingPoint(youden=True)))
    assert sum(found) - 1 == pytest.approx((tpr - fpr).max())


def test_a_share_that_floating_point_cannot_hold_asks_for_no_case_more() -> None:
    y = np.array([True] * 25 + [False])
    p = np.append(np.arange(1, 26) / 100, 0.0)
    assert choose(y, p, OperatingPoint(sensitivity=0.28)) == 0.19  # 7 of 25, though 0.28 * 25 is 7.000…01


def test_a_case_at_the_threshold_is_positive() -> None:
    y, p = np.array([False, False, True, True]), np.array([0.1, 0.4, 0.4, 0.8])
    assert choose(y, p, OperatingPoint(sensitivity=1.0)) == 0.4
    assert 0.4 < choose(y, p, OperatingPoint(specificity=1.0)) <= 0.8
    assert choose(y, p, OperatingPoint(youden=True)) == 0.4  # 1 + 0.5 there, 0.5 + 1 above: the smaller of equals


def test_no_threshold_lies_above_1() -> None:
    assert choose([True, False], [0.5, 1.0], OperatingPoint(specificity=1.0)) == 1.0


@pytest.mark.parametrize(
    ("y", "p", "said"),
    [
        ([True, True], [0.2, 0.3], "2 positive and 0 negative"),
        ([False], [0.2], "0 positive and 1 negative"),
        ([True, False], [0.2, float("nan")], "not finite"),
        ([True, False], [0.2], "equally long"),
    ],
)
@pytest.mark.parametrize("point", [OperatingPoint(sensitivity=0.9), OperatingPoint(youden=True)])
def test_one_class_and_bad_probabilities_are_refused(
    y: list[bool], p: list[float], said: str, point: OperatingPoint
) -> None:
    with pytest.raises(EvaluationError, match=said):
        choose(y, p, point)


def test_the_f2_point_has_the_largest_f2_of_scikit_learn() -> None:
    found = choose(Y, P, OperatingPoint(f2=True))
    best = max(fbeta_score(Y, t <= P, beta=2) for t in GRID[:-1])
    assert fbeta_score(Y, found <= P, beta=2) == pytest.approx(best)
    assert all(fbeta_score(Y, t <= P, beta=2) < best - 1e-12 for t in GRID if t < found)


@pytest.mark.parametrize("cost", [0.1, 1.0, 5.0, 100.0])
def test_the_cost_point_loses_least(cost: float) -> None:
    def lost(t: float) -> float:
        return float(cost * (P[Y] < t).sum() + (P[~Y] >= t).sum())

    found = choose(Y, P, OperatingPoint(cost=cost))
    assert lost(found) == pytest.approx(min(lost(t) for t in GRID))
    assert choose(Y, P, OperatingPoint(cost=100.0)) <= found <= choose(Y, P, OperatingPoint(cost=0.1))


def test_exactly_one_aim_is_given() -> None:
    for bad in ({}, {"youden": True, "f2": True}, {"cost": 2.0, "sensitivity": 0.9}, {"cost": 0.0}):
        with pytest.raises(ValidationError):
            OperatingPoint.model_validate(bad)
