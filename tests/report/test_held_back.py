"""What is said of reasons: the cost, what was caught, and whether a lot would have done as well."""

from __future__ import annotations

from typing import Any

import pytest
from tests.report.made_report import held, plain, record
from tests.report.parsed import Page

from insula.report import held_back, page
from insula.report.text import summary


def figure(events: int, n: int, interval: tuple[float, float] | None) -> dict[str, Any]:
    return {
        "value": events / n if n else None,
        "interval": interval,
        "events": events,
        "n": n,
        "reason": "",
        "note": "",
    }


def of(asked: tuple[int, int], caught: tuple[int, int], ends: tuple[float, float] | None) -> dict[str, Any]:
    return {"held_back": {"asked": figure(*asked, (0.1, 0.3)), "caught": figure(*caught, ends), "reasons": []}}


@pytest.mark.parametrize(
    ("asked", "caught", "ends", "want"),
    [
        ((20, 100), (8, 10), (0.5, 0.95), "the policy holds back more"),
        ((60, 100), (1, 10), (0.01, 0.4), "the policy holds back fewer"),
        ((20, 100), (3, 10), (0.1, 0.6), "that the policy holds back more is not shown"),
        ((20, 100), (1, 1), None, "nothing tells whether the policy does better"),
        ((20, 100), (0, 0), None, "not one answer was wrong"),
        ((0, 100), (0, 4), (0.0, 0.4), "Every case that the model was asked about was accepted"),
    ],
)
def test_a_referral_by_lot_is_what_a_policy_has_to_beat(
    asked: tuple[int, int], caught: tuple[int, int], ends: tuple[float, float] | None, want: str
) -> None:
    assert want in held_back.said(of(asked, caught, ends))


def test_the_sentence_holds_the_counts() -> None:
    text = held_back.said(of((20, 1000), (1, 1), (0.2, 1.0)))
    assert text.startswith(
        "20 of 1,000 cases that the model was asked about were held back (2.0%), and with them 1 of 1 "
    )
    assert "wrong answer: 100.0% (95% interval 20.0% to 100.0%)" in text


def test_page_and_terminal_say_it() -> None:
    made, said = Page(page.render(record())), held_back.said(record())
    assert said.startswith("24 of 48 cases")
    assert said in made.text
    assert said in summary(plain())
    wrong = record()["held_back"]["reasons"][0]["wrong"]["events"]
    line = next(row for row in summary(plain()).splitlines() if row.startswith("  Confidence below its limit  "))
    assert line.endswith(f"  referred 12 of 48 cases  {wrong} of 12 answers wrong")


def test_a_record_without_reasons_is_shown_as_before() -> None:
    old = {key: value for key, value in held(plain()).items() if key != "held_back"}
    made = Page(page.render(old))
    assert "Why cases were referred or rejected" not in made.text
    assert "Accuracy, accepted cases" in made.text
    assert held_back.said(old) == ""
    assert held_back.lines(old) == []
