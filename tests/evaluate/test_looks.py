from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evaluate.made_tables import binary_facts
from tests.evaluate.scripted import case

from insula.core.errors import EvaluationError
from insula.core.types import Case
from insula.evaluate import looks, plan
from insula.evaluate.evidence import Looks

CASES = tuple(case(key, f"p{key}", ("normal", "stroke")[i % 2]) for i, key in enumerate("abcdef"))
FACTS = binary_facts(0.4)


def look(path: Path, cases: tuple[Case, ...] = CASES, model: str = "m", threshold: float = 0.4) -> Looks:
    facts = binary_facts(threshold)
    made = plan.make(cases, facts, {}, "test", {model: facts.thresholds}, 2000)
    here = plan.marks(cases, facts, {})
    return looks.look(path, looks.plan(path, made, here), here)


def test_every_look_is_counted_and_the_first_is_remembered(tmp_path: Path) -> None:
    path = looks.beside(tmp_path / "cohort.parquet")
    first = look(path)
    assert (first.number, first.models, first.changes, first.intact) == (1, 1, (), True)
    assert first.sentence == "This is the first look at this test set that is recorded beside this table."
    assert looks.guard(first).verdict == "pass"
    third = [look(path), look(path, model="n")][-1]
    assert (third.number, third.models, third.first) == (3, 2, first.first)
    assert third.sentence.startswith("This is look 3 at this test set; the first was on 20")
    assert [one.models for one in third.history] == [("m",), ("m",), ("n",)]
    assert third.record == "cohort.parquet.looks.jsonl"


def test_a_plan_is_written_before_any_look_and_once(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    made = plan.make(CASES, FACTS, {}, "test", {"m": FACTS.thresholds}, 2000)
    looks.plan(path, made, plan.marks(CASES, FACTS, {}))
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["plan"]
    look(path)
    look(path)
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["plan", "look", "look"]
    found = looks.read(path)
    assert found.planned == ((made, plan.marks(CASES, FACTS, {})),)
    assert len(found.looks) == 2


def test_a_plan_alone_is_no_look(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    made = plan.make(CASES, FACTS, {}, "test", {"m": FACTS.thresholds}, 2000)
    looks.plan(path, made, plan.marks(CASES, FACTS, {}))
    assert look(path).number == 1


def test_leaving_cases_out_is_another_look_at_the_same_test_set(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    look(path)
    second = look(path, CASES[1:])
    assert second.number == 2
    assert second.changes == ("1 of 6 test cases were left out",)
    assert second.history[0].shared == 5
    guard = looks.guard(second)
    assert guard.verdict == "cannot tell"
    assert "1 of 6 test cases were left out" in guard.finding


def test_looks_at_other_cases_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    look(path, CASES[:3])
    assert look(path, CASES[3:]).number == 1


def test_a_moved_threshold_of_the_same_model_is_said_that_of_another_is_not(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    look(path)
    assert look(path, model="n", threshold=0.7).changes == ()
    assert look(path, threshold=0.6).changes == ("the thresholds of the same model are stroke 0.6 and were stroke 0.4",)


@pytest.mark.parametrize("how", ["taken out", "changed"])
def test_a_record_that_was_changed_by_hand_is_told(tmp_path: Path, how: str) -> None:
    path = tmp_path / "looks.jsonl"
    for _ in range(3):
        look(path)
    lines = path.read_text().splitlines()
    lines[1:2] = [] if how == "taken out" else [lines[1].replace('"time": "20', '"time": "19')]
    path.write_text("\n".join(lines) + "\n")
    found = look(path)
    assert not found.intact
    assert looks.guard(found).verdict == "cannot tell"


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    path.write_text("hello\n")
    with pytest.raises(EvaluationError, match=r"Line 1 of 'looks\.jsonl'"):
        look(path)
    assert path.read_text() == "hello\n"


def test_without_a_record_nobody_can_tell() -> None:
    assert looks.guard(None).verdict == "cannot tell"


def test_a_record_lies_beside_its_table_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "out"
    assert looks.place(table, out) == tmp_path / "t.csv.looks.jsonl"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert looks.place(table, out) == out / "t.csv.looks.jsonl"
