"""A policy that bounds the risk says on the page what it promises and what validation patients showed."""

from __future__ import annotations

from typing import Any

import pytest

from insula.report import bound


def model(risk: dict[str, Any] | None, found: dict[str, Any] | None = None) -> dict[str, Any]:
    validation = {"referral": found} if found else {}
    return {"recipe": {"policy": {"refer": {"risk": risk}}}, "metrics": {"validation": validation}}


RISK = {"of": "error", "error": 0.05, "confidence": 0.95}
FOUND = {"threshold": 0.834, "share": 0.6, "accepted": 120, "wrong": 1, "bound": 0.039, "n": 200, "reason": ""}


@pytest.mark.parametrize("nothing", [None, model(None)])
def test_no_promise_is_not_spoken_of(nothing: dict[str, Any] | None) -> None:
    assert bound.said(nothing) == ""


def test_the_promise_stands_beside_what_was_found() -> None:
    said = bound.said(model(RISK, FOUND))
    assert "wrong answers among the accepted is at most 5.0%, with 95% confidence" in said
    assert "1 of 120 accepted" in said
    assert "bounds the risk by 3.9%; 60.0% of 200 validation patients" in said
    assert "accepted as negative" in bound.said(model(RISK | {"of": "missed"}, FOUND))


def test_a_promise_that_could_not_be_kept_says_why() -> None:
    nothing = FOUND | {"bound": None, "threshold": 2.0, "reason": "4 patients are too few: every case is referred"}
    assert bound.said(model(RISK, nothing)).endswith(
        "This could not be shown: 4 patients are too few: every case is referred."
    )
