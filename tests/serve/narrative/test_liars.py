"""Models that lie in their own words, in one place each: not heard, whatever the rest of their text is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.serve.narrative import stub
from tests.serve.narrative.made_record import full, labels
from tests.serve.narrative.stub import serving

from insula.serve.narrative.facts import template_summary
from insula.serve.narrative.record import CaseRecord
from insula.serve.narrative.summary import summarise

pytestmark = pytest.mark.serve
Sentences = list[dict[str, Any]]
Lie = Callable[[Sentences], Sentences]


def turned(before: str, after: str) -> Lie:
    """The first sentence that holds a text says another one in its place."""

    def lie(sentences: Sentences) -> Sentences:
        found = next(k for k, one in enumerate(sentences) if before in one["text"])
        text = sentences[found]["text"].replace(before, after, 1)
        return [*sentences[:found], {**sentences[found], "text": text}, *sentences[found + 1 :]]

    return lie


def swapped(sentences: Sentences) -> Sentences:
    """Two classes trade their probabilities."""
    whole = [one["text"] for one in sentences]
    at = next(k for k, text in enumerate(whole) if text.count("The probability of") == 2)
    first, second = re.findall(r"0\.[0-9]+ \([0-9]+%\)", whole[at])
    text = whole[at].replace(first, "#").replace(second, first).replace("#", second)
    return [*sentences[:at], {**sentences[at], "text": text}, *sentences[at + 1 :]]


LIES: dict[str, Lie] = {
    "another figure": turned("0.62 (62%)", "0.92 (92%)"),
    "a rounded figure": turned("0.62 (62%)", "0.6 (60%)"),
    "swapped figures": swapped,
    "another side": turned("side is left", "side is right"),
    "another class": turned("model is C3", "model is C1"),
    "a class by its name": turned("model is C3", "model is healthy"),
    "a stage": turned("model is C3", "model is C3 of stage IV"),
    "a survival": turned("for 365 days", "for 30 days"),
    "a denial dropped": turned("did not agree", "did agree"),
    "a denial added": turned("side is left", "side is not left"),
    "another decision": turned("to refer the case", "to accept the case"),
    "a name": turned("A reviewer", "Dr Smith"),
    "advice": turned("has to look at it", "has to look at it and operate"),
    "a warning left out": lambda s: [one for one in s if "warning" not in one["text"]],
    "a reason left out": lambda s: [one for one in s if "reason" not in one["text"]],
    "a sentence of its own": lambda s: [*s, {"text": "There is a second lesion.", "facts": [14]}],
    "a sentence twice": lambda s: [*s, s[0]],
    "facts cited and not told": turned("The recorded side is left", "There it is"),
    "a fact that does not exist": lambda s: [*s, {"text": "It is.", "facts": [99]}],
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_not_heard(name: str) -> None:
    heard(full(), LIES[name])


def test_a_denial_of_a_label_is_not_turned() -> None:
    heard(labels(), turned("does not call C1 present", "does call C1 present"))


def heard(record: CaseRecord, lie: Lie) -> None:
    def turn(request: dict[str, Any]) -> stub.Turn:
        told = stub.phrased(request)["sentences"]
        assert lie(told) != told
        return stub.says({"sentences": lie(told)})

    with serving(turn) as server:
        summary = summarise(record, "en", server.endpoint())
        assert len(server.bodies) == 1
        assert (summary.text, summary.source) == (template_summary(record), "template")
        assert summary.reason.startswith("refused_")
        server.model = stub.good
        assert summarise(record, "en", server.endpoint()).source == "model"
