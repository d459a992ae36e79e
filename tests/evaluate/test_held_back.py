"""Why cases were held back: counts by hand, intervals by statsmodels, and wrong answers that are caught or not."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint
from tests.evaluate.made_tables import binary, binary_facts

from insula.evaluate.facts import Facts
from insula.evaluate.held_back import judge
from insula.evaluate.outcome import HeldBack, Reason
from insula.evaluate.table import frame, sample

# ten cases of ten patients; wrong answers are those of 1, 3, 4 and 8
Y = [1, 0, 1, 1, 1, 0, 0, 0, 1, 0]
P = [0.9, 0.6, 0.8, 0.4, 0.3, 0.1, 0.2, 0.3, 0.1, 0.4]
ACTION = ["accept", "refer", "accept", "refer", "refer", "accept", "refer", "reject", "reject", "accept"]
KINDS = ["", "confidence", "", "confidence;domain", "domain", "", "confidence", "distance", "distance", ""]


def judged(refused: tuple[tuple[str, str], ...] = ()) -> HeldBack:
    table = binary(Y, P, action=ACTION, reason_kinds=KINDS)
    facts = binary_facts()
    found = judge(table, sample(table, facts), facts, refused)
    assert found is not None
    return found


def named(found: HeldBack, kind: str) -> Reason:
    (one,) = (reason for reason in found.reasons if reason.kind == kind)
    return one


def test_each_reason_has_its_cases_and_their_wrong_answers() -> None:
    found = judged()
    assert [(one.action, one.kind) for one in found.reasons] == [
        ("refer", "confidence"), ("refer", "domain"), ("reject", "distance"),
    ]  # fmt: skip
    confidence, domain, distance = found.reasons
    assert (confidence.share.events, confidence.share.n) == (3, 10)
    assert (confidence.wrong.events, confidence.wrong.n) == (2, 3)
    assert (domain.wrong.events, domain.wrong.n) == (2, 2)
    assert (distance.wrong.events, distance.wrong.n) == (1, 2)
    assert confidence.share.interval == pytest.approx(proportion_confint(3, 10, method="wilson"), abs=1e-9)


def test_what_a_reason_costs_is_what_has_no_other_reason() -> None:
    found = judged()
    confidence, domain = named(found, "confidence"), named(found, "domain")
    assert confidence.alone is not None
    assert confidence.wrong_alone is not None
    assert domain.wrong_alone is not None
    assert (confidence.alone.events, confidence.alone.n) == (2, 10)
    assert (confidence.wrong_alone.events, confidence.wrong_alone.n) == (1, 2)
    assert (domain.wrong_alone.events, domain.wrong_alone.n) == (1, 1)
    assert named(found, "distance").alone is None  # the decision ends there


def test_wrong_answers_that_are_caught_stand_beside_the_cost() -> None:
    found = judged()
    assert (found.asked.events, found.asked.n) == (6, 10)
    assert (found.caught.events, found.caught.n) == (4, 4)
    assert (found.accepted.events, found.accepted.n) == (0, 4)
    assert (found.referred.events, found.referred.n) == (3, 4)


def test_refused_scans_count_among_cases_and_have_no_answer_that_could_be_wrong() -> None:
    found = judged((("p000", "colour"), ("x", "colour"), ("y", "distance")))
    colour, distance = named(found, "colour"), named(found, "distance")
    assert [one.kind for one in found.reasons] == ["confidence", "domain", "distance", "colour"]
    assert (colour.share.events, colour.share.n, colour.share.patients) == (2, 13, 12)
    assert np.isnan(colour.wrong.value)
    assert colour.wrong.reason == "the model was not asked"
    assert (distance.share.events, distance.wrong.n) == (3, 2)
    assert (found.asked.n, found.caught.n) == (10, 4)  # the model's own cases alone


def test_of_labels_that_stand_together_the_primary_one_says_what_is_wrong() -> None:
    facts = Facts("made", "?", "t", "multilabel", ("any", "subdural"), "any", {"any": 0.5, "subdural": 0.5})
    more = {"action": ["refer", "refer"], "reason_kinds": ["spread", "spread"]}
    p, y = [[0.9, 0.9], [0.2, 0.1]], [[True, False], [True, False]]
    table = frame(["a", "b"], ["a", "b"], p, y, facts.classes, more)
    found = judge(table, sample(table, facts), facts)
    assert found is not None
    assert (found.reasons[0].wrong.events, found.reasons[0].wrong.n) == (1, 2)
    assert found.accepted.reason == "no case was accepted"


def test_without_reasons_there_is_nothing_to_say() -> None:
    facts = binary_facts()
    old = binary(Y, P, action=ACTION)
    all_accepted = binary(Y, P, action=["accept"] * 10, reason_kinds=[""] * 10)
    assert judge(old, sample(old, facts), facts) is None
    assert judge(all_accepted, sample(all_accepted, facts), facts) is None
    empty = binary(Y, P, action=ACTION, reason_kinds=[kind or np.nan for kind in KINDS])  # as a CSV gives it back
    assert judge(empty, sample(empty, facts), facts) == judged()
