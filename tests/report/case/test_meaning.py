from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.case.made_case import FIGURES
from tests.report.made_report import record

from insula.report.case.meaning import at_prevalences, measured


def test_one_in_a_hundred_makes_most_alerts_false() -> None:
    (row,) = at_prevalences(FIGURES, (0.01,))
    # Bayes' rule by hand: 0.943 · 0.01 / (0.943 · 0.01 + 0.119 · 0.99)
    assert row.ppv[0] == pytest.approx(0.00943 / (0.00943 + 0.119 * 0.99))
    assert row.npv[0] == pytest.approx(0.881 * 0.99 / (0.881 * 0.99 + 0.057 * 0.01))
    assert row.ppv[1] < row.ppv[0] < row.ppv[2]


def test_without_both_figures_and_their_intervals_nothing_is_claimed() -> None:
    assert at_prevalences(FIGURES[1:], (0.01,)) == ()
    bare = (replace(FIGURES[0], interval=None), *FIGURES[1:])
    assert at_prevalences(bare, (0.01, 0.05)) == ()


def test_figures_are_those_of_an_evaluation() -> None:
    held = record()
    found = {one.key: one for one in measured(held)}
    own = held["patient"]["classes"]["stroke"]["figures"]["sensitivity"]
    assert found["sensitivity"].value == own["value"]
    assert found["sensitivity"].interval == tuple(own["interval"])
    assert (found["sensitivity"].n, found["sensitivity"].events) == (own["n"], own["events"])
    assert list(found) == ["sensitivity", "specificity", "roc_auc", "brier", "ece"]
    assert len(at_prevalences(found.values(), (0.01, 0.05))) == 2
