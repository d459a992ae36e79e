from __future__ import annotations

from dataclasses import replace

import pytest
from tests.evaluate.made_tables import binary, binary_facts
from tests.evaluate.scripted import case

from insula.core.types import Case
from insula.evaluate import marks, plan
from insula.evaluate.evidence import Plan
from insula.evaluate.facts import Facts
from insula.evaluate.run import evaluate_table

CASES = (case("a", "p1"), case("b", "p2", "normal"), case("c", "p3"))
HASHES = {f"{key}.npz": 64 * key for key in "abc"}
FACTS = binary_facts(0.4)


def made(
    cases: tuple[Case, ...] = CASES, facts: Facts = FACTS, hashes: dict[str, str] = HASHES, model: str = "m"
) -> Plan:
    return plan.make(cases, facts, hashes, "test", {model: facts.thresholds}, 2000)


def test_a_plan_says_what_is_judged() -> None:
    got = made()
    assert (got.cases, got.patients, got.split, got.models) == (3, 3, "test", ("m",))
    assert got.thresholds == {"stroke": 0.4}
    assert got.primary == "roc_auc of 'stroke' over patients"


def test_every_planned_figure_is_computed() -> None:
    figures = evaluate_table(binary([0, 1, 0, 1], [0.2, 0.7, 0.4, 0.9]), binary_facts(), 20).positive.figures
    assert set(plan.FIGURES) <= set(figures)


def test_the_order_of_the_cases_and_the_time_do_not_count() -> None:
    assert made(CASES[::-1]).hash == made().hash
    assert replace(made(), time="") == replace(made(), time="")


@pytest.mark.parametrize(
    "other",
    [
        made(CASES[:2]),
        made((*CASES[:2], case("c", "p3", "normal"))),
        made((*CASES[:2], case("c", "p4"))),
        made(hashes={**HASHES, "c.npz": "d" * 64}),
    ],
    ids=["a case less", "another label", "another patient", "another file"],
)
def test_another_test_set_has_another_hash(other: Plan) -> None:
    assert other.test_set != made().test_set
    assert other.hash != made().hash


@pytest.mark.parametrize(
    "other",
    [made(facts=binary_facts(0.41)), made(facts=replace(FACTS, aggregate="max")), made(model="n")],
    ids=["threshold", "pooling", "model"],
)
def test_another_plan_for_the_same_cases_has_another_hash(other: Plan) -> None:
    assert other.test_set == made().test_set
    assert other.hash != made().hash


def test_several_models_of_one_look_keep_their_thresholds_apart() -> None:
    got = plan.make(CASES, FACTS, HASHES, "test", {"m": {"stroke": 0.4}, "n": {"stroke": 0.6}}, 20)
    assert got.thresholds == {"m: stroke": 0.4, "n: stroke": 0.6}
    assert got.models == ("m", "n")


def test_a_case_is_known_by_its_files_under_any_key() -> None:
    moved = (replace(CASES[0], key="new", patient="other"), *CASES[1:])
    assert marks.of(moved, FACTS, HASHES).cases == marks.of(CASES, FACTS, HASHES).cases
    without = marks.of(CASES, FACTS, {})
    assert len(without.cases) == 3
    assert set(without.cases).isdisjoint(marks.of(CASES, FACTS, HASHES).cases)


def test_what_changed_is_said() -> None:
    first = made()
    here = marks.of(CASES, FACTS, HASHES)
    assert plan.changes(first, first, made(), here, here) == ()
    fewer = marks.of((CASES[0], case("b", "p2")), FACTS, HASHES)
    said = plan.changes(first, None, made(CASES[:2]), here, fewer)
    assert said == ("1 of 3 test cases were left out", "1 test cases have another label")
    assert plan.changes(first, None, made(), fewer, here)[0] == "1 test cases were added"
    moved = made(facts=replace(FACTS, thresholds={"stroke": 0.6}, aggregate="max"))
    said = plan.changes(first, first, moved, here, here)
    assert said[0] == "the pooling to patients is 'max' and was 'mean'"
    assert said[1] == "the thresholds of the same model are stroke 0.6 and were stroke 0.4"
    assert plan.changes(first, None, moved, here, here) == said[:1]  # another model has its own threshold
