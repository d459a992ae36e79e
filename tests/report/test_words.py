from __future__ import annotations

import math

import pytest
from tests.report.made_report import make, plain

from insula.metrics.intervals import Figure
from insula.report import words

SHARE = Figure(0.75, (0.5, 0.9), "Wilson", 4, 4, 3)
UNDEFINED = Figure(math.nan, None, "", 0, 0, 0, "no row is positive")


@pytest.mark.parametrize(
    ("x", "want"), [(0.5, "0.500"), (0.12349, "0.123"), (-0.25, "−0.250"), (math.nan, "–"), (math.inf, "–")]
)
def test_numbers_have_three_decimals_or_are_a_dash(x: float, want: str) -> None:
    assert words.number(x) == want


@pytest.mark.parametrize(
    ("x", "digits", "want"), [(0.5, 1, "50.0%"), (0.00123, 2, "0.12%"), (1.0, 0, "100%"), (math.nan, 1, "–")]
)
def test_shares_are_percentages_or_a_dash(x: float, digits: int, want: str) -> None:
    assert words.percent(x, digits) == want


def test_an_interval_is_its_ends_or_the_reason_why_there_is_none() -> None:
    assert words.interval(SHARE) == "0.500 to 0.900"
    assert words.interval(UNDEFINED) == "no row is positive"
    assert words.interval(Figure(0.1, None, "", 1, 1, 1)) == "no interval"
    assert words.value(UNDEFINED) == "–"


def test_a_share_rests_on_events_and_any_other_figure_on_rows() -> None:
    assert words.basis("sensitivity", SHARE, "patients") == "3 of 4 patients"
    assert words.basis("roc_auc", SHARE, "patients") == "4 patients, 3 positive"


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_every_figure_of_a_report_has_a_name(kind: str) -> None:
    report = plain() if kind == "multiclass" else make(("any", "subdural"), "multilabel")
    assert set(report.patient.overall) <= set(words.NAMES)
    assert set(words.ORDER) == set(report.positive.figures)
    assert set(words.ORDER) <= set(words.NAMES)
    assert report.coverage is not None
    assert report.domain is not None
    assert set(report.coverage) == set(words.COVERAGE)
    assert set(report.domain) == set(words.DOMAIN)
