"""Why cases were not accepted, in words: which reasons cost coverage, and which wrong answers that held back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insula.report import words


def said(record: Mapping[str, Any]) -> str:
    """How many wrong answers were held back, beside what a lot would hold back; "" where no case was held back."""
    held = record.get("held_back")
    if not held:
        return ""
    asked, caught = held["asked"], held["caught"]
    if not asked["events"]:
        return "Every case that the model was asked about was accepted; the others were rejected before."
    cost = f"{asked['events']:,} of {words.plural(asked['n'], 'case')} that the model was asked about were held back"
    if not caught["n"]:
        return f"{cost} ({words.percent(asked['value'])}); not one answer was wrong, so that it could spare none."
    ends = f" (95% interval {words.span(caught['interval'])})" if caught["interval"] else ""
    return (
        f"{cost} ({words.percent(asked['value'])}), and with them {caught['events']:,} of "
        f"{words.plural(caught['n'], 'wrong answer')}: {words.percent(caught['value'])}{ends}. As many cases drawn by "
        f"lot would hold back {words.percent(asked['value'])} of them; {_verdict(asked['value'], caught['interval'])}."
    )


def lines(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A row for each reason: its name, its cases, and how many of the answers would have been wrong."""
    held = record.get("held_back")
    if not held:
        return []
    return [
        (
            words.reason(one["kind"]),
            f"{'referred' if one['action'] == 'refer' else 'rejected'} {words.basis('share', one['share'], 'cases')}",
            f"{words.basis('share', one['wrong'], 'answers')} wrong" if one["wrong"]["n"] else one["wrong"]["reason"],
        )
        for one in held["reasons"]
    ]


def _verdict(lot: float, interval: Any) -> str:
    if interval is None:
        return "nothing tells whether the policy does better"
    if interval[0] > lot:
        return "the policy holds back more"
    return "the policy holds back fewer" if interval[1] < lot else "that the policy holds back more is not shown"
