"""What is known of a policy that bounds the risk among the accepted, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insula.report import words

_OF = {
    "error": "the share of wrong answers among the accepted",
    "missed": "the share of positive patients who are accepted as negative",
}


def said(model: Mapping[str, Any] | None) -> str:
    """What the policy promises, and what validation patients showed of it; "" where it promises nothing.

    model: as `record.described` gives it.
    """
    if not model:
        return ""
    risk = model["recipe"]["policy"]["refer"].get("risk")
    if not risk:
        return ""
    asked = (
        f"The policy accepts only from a confidence on at which {_OF[risk['of']]} is at most "
        f"{words.percent(risk['error'])}, with {words.percent(risk['confidence'], 0)} confidence, on validation "
        "patients."
    )
    found = model["metrics"].get("validation", {}).get("referral")
    if not found:
        return f"{asked} The bundle does not say what was found."
    if found["bound"] is None:
        return f"{asked} This could not be shown: {words.clause(found['reason'])}."
    return (
        f"{asked} That is {words.number(found['threshold'])}: {found['wrong']} of {found['accepted']} accepted were "
        f"counted as mistakes, which bounds the risk by {words.percent(found['bound'])}; "
        f"{words.percent(found['share'])} of {found['n']} validation patients were accepted."
    )
