from __future__ import annotations

import math

import pytest

from insula.core.errors import EvaluationError
from insula.metrics.intervals import Figure
from insula.metrics.prevalence import alerts, at_prevalence, npv, ppv


def figure(value: float, low: float, high: float) -> Figure:
    return Figure(value, (low, high), "bootstrap", 50, 50, 10)


def test_ten_thousand_people_counted_out() -> None:
    # one in a hundred ill: 100 ill with 90 found, 9,900 well with 495 alarmed
    assert ppv(0.9, 0.95, 0.01) == pytest.approx(90 / 585)
    assert npv(0.9, 0.95, 0.01) == pytest.approx(9405 / 9415)
    assert alerts(0.9, 0.95, 0.01) == pytest.approx(58.5)


def test_at_the_samples_own_prevalence_the_values_are_those_of_its_table() -> None:
    tp, fn, fp, tn = 30, 10, 5, 55
    sensitivity, specificity, share = tp / (tp + fn), tn / (tn + fp), (tp + fn) / 100
    assert ppv(sensitivity, specificity, share) == pytest.approx(tp / (tp + fp))
    assert npv(sensitivity, specificity, share) == pytest.approx(tn / (tn + fn))
    assert alerts(sensitivity, specificity, share) == pytest.approx(10 * (tp + fp))


def test_the_ends_enclose_every_pair_within_the_intervals() -> None:
    se, sp = figure(0.8, 0.6, 0.9), figure(0.9, 0.85, 0.97)
    got = at_prevalence(se, sp, 0.05)
    assert got is not None
    for (value, low, high), rule in ((got.ppv, ppv), (got.npv, npv), (got.alerts_per_1000, alerts)):
        assert value == rule(0.8, 0.9, 0.05)
        corners = [rule(a, b, 0.05) for a in (0.6, 0.9) for b in (0.85, 0.97)]
        assert (low, high) == (min(corners), max(corners))
        assert low < value < high


def test_without_an_interval_nothing_is_said_and_without_answers_nothing_is_shared() -> None:
    unknown = Figure(float("nan"), None, "", 0, 0, 0, "no row is positive")
    assert at_prevalence(unknown, figure(0.9, 0.8, 1.0), 0.1) is None
    assert at_prevalence(figure(0.9, 0.8, 1.0), unknown, 0.1) is None
    assert math.isnan(ppv(0.0, 1.0, 0.3))
    assert math.isnan(npv(1.0, 0.0, 0.3))


def test_a_share_of_no_answer_has_no_ends_either() -> None:
    always = at_prevalence(figure(1.0, 0.7, 1.0), figure(0.0, 0.0, 0.3), 0.1)  # every answer is positive
    assert always is not None
    assert all(math.isnan(v) for v in always.npv)
    assert always.ppv == pytest.approx((0.1, 0.07 / (0.07 + 0.9), 0.1 / (0.1 + 0.63)))
    never = at_prevalence(figure(0.0, 0.0, 0.3), figure(1.0, 0.7, 1.0), 0.1)
    assert never is not None
    assert all(math.isnan(v) for v in never.ppv)
    assert never.npv[0] == pytest.approx(0.9)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, 5.0])
def test_a_prevalence_is_a_share(prevalence: float) -> None:
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        at_prevalence(figure(0.9, 0.8, 1.0), figure(0.9, 0.8, 1.0), prevalence)
