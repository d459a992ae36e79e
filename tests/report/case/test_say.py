from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from tests.report.case.made_case import AT, case, picture, referred, rejected

from insula.report.case import say, texts
from insula.report.case.page import case_html
from insula.report.case.record import Review

EN, TR = texts.texts("en"), texts.texts("tr")


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.87, "0.87"), (0.1 + 0.2, "0.3"), (1e-6, "0.000001"), (1.0, "1.0"), (-0.42, "-0.42"), (0.412345, "0.412345"),
     (-1e-9, "0.0"), (None, "–"), (float("nan"), "–"), (float("inf"), "–")],
)  # fmt: skip
def test_a_number_reads_as_in_the_record(value: float | None, said: str) -> None:
    assert say.number(value) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.074, "7.4%"), (0.9997, "99.97%"), (0.999999, "99.99%"), (1.0, "100.0%"), (0.0, "0.0%"), (1e-7, "0.01%"),
     (float("nan"), "–")],
)  # fmt: skip
def test_nearly_all_is_never_said_to_be_all(share: float, said: str) -> None:
    assert say.percent(share, EN) == said


def test_the_sign_stands_where_the_language_has_it() -> None:
    assert (say.prevalence(0.01, EN), say.prevalence(0.01, TR)) == ("1%", "%1")
    assert say.prevalence(0.001, EN) == "0.1%"
    assert say.ends((0.5, 0.4, 0.6), TR) == ("%50.0", "%40.0 – %60.0")
    nan = float("nan")
    assert say.ends((nan, nan, nan), EN) == ("–", "")


def test_instants_are_said_in_utc() -> None:
    at = datetime(2026, 11, 26, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    assert say.moment(at) == "2026-11-25 22:30 UTC"


def test_evidence_names_what_the_model_does_not_call_present() -> None:
    assert say.evidence(picture(), EN) == "evidence for “any”"
    assert say.evidence(picture(present=False), EN) == "evidence for “any”, which the model does not call present"


def test_a_picture_says_where_it_is_from() -> None:
    assert say.where(picture(), EN) == "slice 12 of 28"
    assert say.where(replace(picture(), part="tile"), TR) == "karo 12 / 28"


def test_further_answers_have_names() -> None:
    stage, survival = referred().further
    assert say.most_probable(stage) == "III"
    assert say.most_probable(survival) == ""
    names = [say.further_name(survival, one.name, EN) for one in survival.values]
    assert names == ["log relative hazard", "free of “death” at 365 days", "free of “death” at 730 days"]
    assert say.further_name(stage, "value", EN) == "Value"
    assert say.further_name(stage, "IV", EN) == "IV"


def test_the_headline_is_the_answer_or_nothing() -> None:
    assert say.headline(case(), EN) == "any · Confidence 0.87"
    assert say.headline(rejected(), EN) == ""


@pytest.mark.parametrize(
    ("review", "said"),
    [
        (None, "Preliminary: no reader has signed it yet"),
        (Review("agree", "Dr. A", AT, "any"), "Read and signed: agrees, any"),
        (Review("override", "Dr. A", AT, "normal"), "Read and signed: decides otherwise, normal"),
        (Review("cannot_tell", "Dr. A", AT), "Preliminary: its reader cannot tell"),
    ],
)
def test_the_state_says_what_its_reader_says(review: Review | None, said: str) -> None:
    assert say.state(case(review=review), EN) == said
    assert f'<p class="state"><bdi>{said}</bdi></p>' in case_html(case(review=review))
