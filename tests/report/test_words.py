from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, get_args

import pytest
from tests.report.made_report import make, plain

from insula.core.errors import LimitError, ScanError, UnsuitableScanError
from insula.infer.decide import Kind
from insula.infer.suitable import Check
from insula.metrics.intervals import Figure
from insula.report import words

SHARE = asdict(Figure(0.75, (0.5, 0.9), "modified Wilson", 4, 4, 3))
UNDEFINED = asdict(Figure(math.nan, None, "", 0, 0, 0, "no row is positive"))


@pytest.mark.parametrize(
    ("x", "want"),
    [
        (0.5, "0.500"),
        (0.12349, "0.123"),
        (-0.25, "−0.250"),
        (-0.0004, "0.000"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_numbers_have_three_decimals_or_are_a_dash(x: float | None, want: str) -> None:
    assert words.number(x) == want


@pytest.mark.parametrize(
    ("x", "digits", "want"),
    [(0.5, 1, "50.0%"), (0.00123, 2, "0.12%"), (1.0, 0, "100%"), (math.nan, 1, "–"), (None, 1, "–")],
)
def test_shares_are_percentages_or_a_dash(x: float | None, digits: int, want: str) -> None:
    assert words.percent(x, digits) == want


def test_an_interval_is_its_ends_or_the_reason_why_there_is_none() -> None:
    assert words.interval(SHARE) == "0.500 to 0.900"
    assert words.interval(UNDEFINED) == "no row is positive"
    assert words.interval(asdict(Figure(0.1, None, "", 1, 1, 1))) == "no interval"
    assert words.value(UNDEFINED) == "–"
    assert words.span((0.5, 0.905)) == "50.0% to 90.5%"
    assert words.ends((0.5, 0.906)) == "50–91%"
    assert words.span(None) == words.ends(None) == "–"


def test_a_share_rests_on_events_and_any_other_figure_on_rows() -> None:
    assert words.basis("sensitivity", SHARE, "patients") == "3 of 4 patients"
    assert words.basis("roc_auc", SHARE, "patients") == "4 patients, 3 positive"
    assert words.basis("share", {"events": 1200, "n": 34000}, "cases") == "1,200 of 34,000 cases"


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_every_figure_of_a_report_has_a_name_of_its_own(kind: str) -> None:
    report = plain() if kind == "multiclass" else make(("any", "subdural"), "multilabel")
    keys = set(report.patient.overall) | set(report.positive.figures)
    assert keys <= set(words.NAMES)
    assert set(report.positive.figures) <= set(words.ORDER)
    assert report.coverage is not None
    assert report.domain is not None
    assert set(report.coverage) == set(words.COVERAGE)
    assert set(report.domain) == set(words.DOMAIN)
    named = [*words.NAMES.values(), *words.COVERAGE.values(), *words.DOMAIN.values(), *words.REASONS.values()]
    assert len(set(named)) == len(named)


def test_every_kind_of_reason_has_words() -> None:
    errors = (ScanError, LimitError, UnsuitableScanError)
    checks = [name.replace(" ", "_") for name in get_args(Check)]
    assert set(words.REASONS) == {*get_args(Kind), *checks, *(error.code for error in errors)}
    assert words.reason("confidence") == "Confidence below its limit"
    assert words.reason("some_other") == "Some other"


def test_a_figure_that_nobody_named_is_shown_all_the_same_and_last() -> None:
    figures = {"net_gain": SHARE, "f1": SHARE, "roc_auc": SHARE}
    assert [key for key, _ in words.ordered(figures)] == ["roc_auc", "f1", "net_gain"]
    assert words.name("net_gain") == "Net gain"
    assert words.name("subdural/roc_auc") == "ROC-AUC, subdural"


@pytest.mark.parametrize(
    ("fact", "want"),
    [
        ({"normal": 3, "mid_line": 4}, "normal 3, mid line 4"),
        (["A", "B"], "A, B"),
        ([], "none"),
        (None, "–"),
        (True, "yes"),
        (0.00012345678, "0.0001235"),
        (-1.5, "−1.5"),
        ({"a": {"b": [1, 2]}}, "a b 1, 2"),
    ],
)
def test_any_fact_is_one_line(fact: Any, want: str) -> None:
    assert words.flat(fact) == want


@pytest.mark.parametrize(("p", "want"), [(0.0004, "< 0.001"), (0.04, "0.040"), (1.0, "1.000"), (None, "–")])
def test_a_p_value_is_never_nought(p: float | None, want: str) -> None:
    assert words.chance(p) == want


def test_notes_that_differ_in_numbers_alone_are_told_once() -> None:
    notes = ("70% lies outside.", "Mind this.", "71% lies outside.", "9% lies outside.")
    assert words.gathered(notes) == ["70% lies outside. (3 notes like this.)", "Mind this."]
    assert words.gathered(()) == []


def test_a_figure_over_all_classes_is_told_apart_from_that_of_one() -> None:
    for key in ("brier", "log_loss", "accuracy"):
        assert words.overall(key, "multiclass") != words.name(key)
    assert words.overall("accuracy", "multilabel") == "Every label right"
    assert words.overall("mcc", "multiclass") == words.name("mcc")


@pytest.mark.parametrize(
    ("text", "sentence", "clause"),
    [
        ("The predictions in a.csv", "The predictions in a.csv.", "The predictions in a.csv"),
        ("none was seen.", "None was seen.", "none was seen"),
        ("Is there a stroke?", "Is there a stroke?", "Is there a stroke?"),
        ("", "", ""),
    ],
)
def test_a_text_becomes_a_sentence_or_a_part_of_one(text: str, sentence: str, clause: str) -> None:
    assert words.sentence(text) == sentence
    assert words.clause(text) == clause


def test_hashes_times_and_keys_are_said_for_people() -> None:
    assert words.short("ab" * 32) == "abababababab…"
    assert words.short("061122740935c411") == "061122740935c411"  # the id of a bundle is short as it is
    assert words.moment("2026-01-02T03:04:05+00:00") == "2026-01-02 03:04 UTC"
    assert words.moment("yesterday") == "yesterday"
    assert words.primary("roc_auc of 'roc_auc' over patients") == "ROC-AUC of 'roc_auc' over patients"
    assert words.primary("a new one") == "a new one"


def test_one_is_no_plural() -> None:
    assert [words.plural(n, "case") for n in (0, 1, 1200)] == ["0 cases", "1 case", "1,200 cases"]
