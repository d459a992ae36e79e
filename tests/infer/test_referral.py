from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, binomtest

from insula.bundle.types import Bundle
from insula.core.errors import EvaluationError
from insula.core.recipe import Target
from insula.core.types import Prediction
from insula.infer.decide import decide
from insula.infer.referral import GRID, NOTHING, control, control_missed, fewest, judged

A, B = 2.2, 0.35  # confidences of a model that is sure of most, as a beta distribution


def true_risk(threshold: float) -> float:
    """Share of errors from a threshold on where P(right | confidence) is the confidence: 1 - E[c | c ≥ t]."""
    above = beta.sf(threshold, A + 1, B) / beta.sf(threshold, A, B)
    return float(1 - A / (A + B) * above)


@pytest.mark.parametrize(("patients", "risk", "level"), [(150, 0.05, 0.95), (400, 0.05, 0.9), (400, 0.1, 0.95)])
def test_the_bound_holds_in_at_least_the_promised_share_of_repetitions(
    patients: int, risk: float, level: float
) -> None:
    g = np.random.default_rng(patients)
    broken, certified = 0, 0
    repetitions = 800
    for _ in range(repetitions):
        c = g.beta(A, B, patients)
        found = control(c, g.random(patients) < c, risk, level)
        if found.threshold <= 1:
            certified += 1
            broken += true_risk(found.threshold) > risk
    assert certified > 0.1 * repetitions
    assert binomtest(broken, repetitions, 1 - level, alternative="greater").pvalue > 0.01


def test_the_bound_is_used_up_where_the_risk_is_flat_and_just_too_high() -> None:
    """Errors independent of confidence at a rate above the bound: every certification is false, and they stay rare."""
    g = np.random.default_rng(1)
    false = 0
    for _ in range(1500):
        c = g.random(300)
        false += control(c, g.random(300) >= 0.0501, 0.05, 0.9).threshold <= 1
    assert false / 1500 > 0.02  # the test has power: the guarantee is not bought by never accepting
    assert binomtest(false, 1500, 0.1, alternative="greater").pvalue > 0.01


def test_missed_positives_stay_within_their_bound_though_the_most_confident_are_missed_most() -> None:
    """Of positives a share of 0.14 · c is missed at confidence c, so that the missed from t on are 0.07 · (1 - t²)."""
    g = np.random.default_rng(2)
    broken = certified = 0
    limit = math.sqrt(1 - 0.05 / 0.07)
    for _ in range(1500):
        positive = g.random(400) < 0.5
        c = g.random(400)
        found = control_missed(c, positive & (g.random(400) >= 0.14 * c), positive, 0.05, 0.9)
        certified += found.threshold <= 1
        broken += found.threshold < limit
        assert found.bound is None or found.bound <= 0.05
    assert certified > 1000
    assert broken / 1500 > 0.02
    assert binomtest(broken, 1500, 0.1, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize(("risk", "level"), [(0.05, 0.95), (0.1, 0.9), (0.01, 0.95), (0.5, 0.5)])
def test_the_fewest_patients_are_those_of_the_exact_rule(risk: float, level: float) -> None:
    n = fewest(risk, level)
    assert (1 - risk) ** n <= 1 - level + 1e-12 < (1 - risk) ** (n - 1) + 2e-12
    assert fewest(0.05, 0.95) == 59


def test_what_is_certified_carries_its_clopper_pearson_bound() -> None:
    c = np.concatenate([np.full(100, 0.95), np.full(50, 0.9), np.full(50, 0.6)])
    right = np.ones(200, bool)
    right[[0, 120]] = False
    right[160:] = False
    found = control(c, right)
    assert found.threshold == 0.61
    assert (found.accepted, found.wrong, found.n, found.share, found.reason) == (150, 2, 200, 0.75, "")
    exact = binomtest(2, 150, alternative="less").proportion_ci(0.95, "exact").high
    assert found.bound == pytest.approx(exact)
    assert exact <= 0.05


def test_too_few_patients_or_too_many_errors_refer_everything_and_say_why() -> None:
    few = control(np.full(58, 0.99), np.ones(58, bool))
    assert (few.threshold, few.share, few.bound) == (NOTHING, 0.0, None)
    assert "58 of 58" in few.reason
    assert "takes 59" in few.reason
    assert control(np.full(59, 0.99), np.ones(59, bool)).threshold == 0.0
    wrong = control(np.full(200, 0.99), np.arange(200) % 5 > 0)
    assert wrong.threshold == NOTHING
    assert "no threshold" in wrong.reason
    missed = control_missed(np.full(90, 0.9), np.ones(90, bool), np.arange(90) < 40)
    assert missed.threshold == NOTHING
    assert "40 positive" in missed.reason


def test_cases_that_another_rule_refers_neither_count_nor_err() -> None:
    c = np.full(160, 0.9)
    right = np.arange(160) >= 60
    found = control(c, right, eligible=right)
    assert (found.threshold, found.accepted, found.wrong, found.share) == (0.0, 100, 0, 100 / 160)
    assert control(c, right).threshold == NOTHING


def test_one_error_among_the_most_confident_does_not_end_the_search_in_a_large_cohort() -> None:
    c = np.linspace(0.999, 0.5, 1000)
    right = np.ones(1000, bool)
    right[3] = False
    assert control(c, right).share == 1.0


def test_the_grid_is_fixed_rises_and_has_the_digits_that_are_shown() -> None:
    assert list(GRID) == sorted(set(GRID))
    assert (GRID[0], GRID[-1]) == (0.0, 0.999999)
    assert all(round(t, 6) == t for t in GRID)
    assert control(np.full(100, 0.9999999), np.ones(100, bool)).accepted == 100


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_confidence_call_and_rightness_are_those_of_the_decision(tiny_bundle: Callable[..., Bundle], kind: str) -> None:
    bundle = tiny_bundle(kind=kind)
    target = bundle.recipe.target
    threshold = bundle.decision.thresholds[target.positive]
    g = np.random.default_rng(4)
    p = g.dirichlet(np.ones(len(target.classes)), 60).astype(np.float32)
    y = np.eye(len(target.classes), dtype=bool)[g.integers(0, len(target.classes), 60)]
    confidence, called, right = judged(p, y, target, threshold)
    for row, truth, c, positive, good in zip(p, y, confidence, called, right, strict=True):
        made = decide(_prediction(row, target), bundle)
        assert made.confidence == pytest.approx(c)
        assert made.positive == positive
        true_label = target.classes[int(truth.argmax())] if target.exclusive else target.positive
        if target.exclusive:
            assert good == (made.label == true_label)
        else:
            assert good == (made.positive == truth[target.positive_index])


def _prediction(p: NDArray[np.float32], target: Target) -> Prediction:
    return Prediction("c", "b", "t", target.classes, p, None, (), 0.0, np.zeros(1, np.float32))


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EvaluationError, match="belong together"):
        control(np.ones(3), np.ones(2, bool))
    with pytest.raises(EvaluationError, match="belong together"):
        control_missed(np.ones(3), np.ones(3, bool), np.ones(2, bool))
    with pytest.raises(EvaluationError, match="finite"):
        control(np.array([math.nan]), np.ones(1, bool))
    with pytest.raises(EvaluationError, match=r"risk is 0\.0"):
        control(np.ones(3), np.ones(3, bool), 0.0)
    with pytest.raises(EvaluationError, match=r"\(n, 2\)"):
        judged(
            np.ones((2, 3)),
            np.ones((2, 3)),
            Target.model_validate({"kind": "multilabel", "classes": ["a", "b"], "primary": "a"}),
            0.5,
        )
