"""Stages held against each other on the same patients, and the rule that chooses one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from insula.core.recipe import OperatingPoint
from insula.workflows import staged_rule as rule
from insula.workflows.staged_rule import Answered, Judged

KEYS = np.array([f"p{i:03}" for i in range(100)])
Y = np.arange(100) < 40


def stage(missed: int = 0, alarms: int = 0, first: int = 0) -> Answered:
    """40 positives of whom so many are missed, 60 negatives of whom so many are called, counted from a place."""
    called = Y.copy()
    called[first : first + missed] = False
    called[40 + first : 40 + first + alarms] = True
    return Answered(KEYS, Y, called.astype(float), called)


@pytest.mark.parametrize(
    ("point", "primary", "value"),
    [
        ({"f2": True}, "f2", 5 * 36 / (5 * 36 + 4 * 4 + 12)),
        ({"youden": True}, "youden", 36 / 40 + 48 / 60 - 1),
        ({"sensitivity": 0.9}, "specificity", 48 / 60),
        ({"specificity": 0.8}, "sensitivity", 36 / 40),
        ({"cost": 5.0}, "cost", (5 * 4 + 12) / 100),
    ],
)
def test_the_primary_figure_is_what_the_operating_point_leaves_to_gain(
    point: dict[str, Any], primary: str, value: float
) -> None:
    aim = OperatingPoint(**point)
    assert rule.of_point(aim) == primary
    found = rule.primary_figure(primary, stage(4, 12), aim, 200, 0)
    assert found.value == pytest.approx(value)
    assert found.interval is not None
    assert found.interval[0] < value < found.interval[1]
    assert rule.PRIMARIES[primary] in rule.said(primary, aim)


def test_the_best_is_chosen_where_it_is_clearly_ahead() -> None:
    judged = [Judged("a", stage(2, 20), frozenset()), Judged("b", stage(2, 2), frozenset())]
    found = rule.standings(judged, "specificity", OperatingPoint(sensitivity=0.9), 1000, 0)
    assert rule.chosen(found) == "b"
    assert found[0].behind == pytest.approx(18 / 60)
    assert not found[0].tied


def test_a_lead_of_less_than_one_standard_error_goes_to_the_earlier_stage() -> None:
    judged = [Judged("a", stage(0, 6), frozenset()), Judged("b", stage(0, 6, first=5), frozenset())]
    judged.append(Judged("c", stage(0, 5, first=20), frozenset()))
    found = rule.standings(judged, "specificity", OperatingPoint(sensitivity=0.9), 4000, 0)
    assert [one.tied for one in found] == [True, True, True]
    assert rule.chosen(found) == "a"
    # of the difference of two shares on the same negatives, 6 and 5 of them, none shared
    gap = (6 - 5) / 60
    error = math.sqrt(((6 + 5) / 60 - gap**2) / 60)
    assert found[0].error == pytest.approx(error, rel=0.06)


def test_a_lead_that_all_patients_share_is_no_tie_however_small() -> None:
    judged = [Judged("a", stage(0, 6), frozenset()), Judged("b", stage(0, 4), frozenset())]
    found = rule.standings(judged, "specificity", OperatingPoint(sensitivity=0.9), 2000, 0)
    assert found[0].error == pytest.approx(math.sqrt((2 / 60 - (2 / 60) ** 2) / 60), rel=0.08)
    assert rule.chosen(found) == "b"  # 2 patients won and none lost: 1.4 standard errors


def test_a_finding_that_the_baseline_does_not_have_leaves_a_stage_out() -> None:
    judged = [
        Judged("a", stage(2, 20), frozenset({"heat/outside"})),
        Judged("b", stage(0, 0), frozenset({"heat/outside", "skull/roc_auc"})),
        Judged("c", stage(2, 4), frozenset({"heat/outside"})),
    ]
    found = rule.standings(judged, "f2", OperatingPoint(f2=True), 500, 0)
    assert found[1].new == ("skull/roc_auc",)
    assert not found[1].tied
    assert rule.chosen(found) == "c"
    alone = rule.standings(judged[:2], "f2", OperatingPoint(f2=True), 500, 0)
    assert rule.chosen(alone) == "a"


def test_the_lowest_cost_is_the_best() -> None:
    judged = [Judged("a", stage(10, 0), frozenset()), Judged("b", stage(0, 10), frozenset())]
    found = rule.standings(judged, "cost", OperatingPoint(cost=5.0), 500, 0)
    assert rule.chosen(found) == "b"
    assert found[0].behind == pytest.approx(0.4)


def test_a_figure_that_is_defined_nowhere_leaves_the_baseline() -> None:
    nobody = Answered(KEYS, Y, np.zeros(100), np.zeros(100, bool))
    found = rule.standings(
        [Judged("a", nobody, frozenset()), Judged("b", nobody, frozenset())], "ppv", OperatingPoint(f2=True), 200, 0
    )
    assert [one.tied for one in found] == [False, False]
    assert rule.chosen(found) == "a"


def test_a_change_counts_who_was_won_and_lost_among_positives_and_negatives() -> None:
    found = rule.change(stage(3, 2, first=10), stage(8, 9), "a", 500, 0)
    assert (found.found.only_first, found.found.only_second) == (8, 3)
    assert (found.alarms.only_first, found.alarms.only_second) == (9, 2)
    assert found.found.p_value == pytest.approx(binomtest(3, 11).pvalue)
    assert found.alarms.p_value == pytest.approx(binomtest(2, 11).pvalue)
    assert found.sensitivity.difference.value == pytest.approx(5 / 40)
    assert found.specificity.difference.value == pytest.approx(7 / 60)
    assert found.ppv.difference.value == pytest.approx(37 / 39 - 32 / 41)


def test_patients_whom_one_stage_could_not_answer_are_left_out_of_the_comparison() -> None:
    found = rule.change(stage(3, 2).only(KEYS[5:].tolist()), stage(8, 9), "a", 200, 0)
    assert found.patients == 95
    assert (found.found.only_first, found.found.only_second) == (3, 0)


def test_p_values_of_all_stages_together_are_corrected_after_holm() -> None:
    changes = {
        "b": rule.change(stage(1, 2), stage(8, 9), "a", 500, 0),
        "c": rule.change(stage(20, 2), stage(1, 2), "b", 500, 0),
    }
    found = rule.corrected(changes)
    plain = [changes[stage].adjusted[key] for stage in "bc" for key in ("sensitivity", "specificity", "ppv")]
    wanted = multipletests(plain, method="holm")[1]
    got = [found[stage].adjusted[key] for stage in "bc" for key in ("sensitivity", "specificity", "ppv")]
    assert got == pytest.approx(list(wanted))


def test_without_a_positive_nothing_is_said_of_the_positives() -> None:
    keys = KEYS[40:].tolist()
    found = rule.change(stage(0, 2).only(keys), stage(0, 9).only(keys), "a", 200, 0)
    assert math.isnan(found.found.p_value)
    assert found.alarms.p_value == pytest.approx(binomtest(0, 7).pvalue)
