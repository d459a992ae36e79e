from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evaluate.made_tables import binary_facts
from tests.evaluate.scripted import case

from insula.core.errors import EvaluationError
from insula.core.types import Case
from insula.evaluate import looks, looks_file, marks, plan
from insula.evaluate.evidence import Looks

CASES = tuple(case(key, f"p{key}", ("normal", "stroke")[i % 2]) for i, key in enumerate("abcdef"))
FACTS = binary_facts(0.4)


def look(
    path: Path,
    cases: tuple[Case, ...] = CASES,
    model: str = "m",
    threshold: float = 0.4,
    register: Path | None = None,
) -> Looks:
    facts = binary_facts(threshold)
    made = plan.make(cases, facts, {}, "test", {model: facts.thresholds}, 2000)
    here = marks.of(cases, facts, {})
    places = looks.Places(path, register)
    return looks.look(places, looks.plan(places, made, here), here)


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
    looks.plan(looks.Places(path), made, marks.of(CASES, FACTS, {}))
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["plan"]
    look(path)
    look(path)
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["plan", "look", "look"]
    found = looks_file.read(path)
    assert found.planned == ((made, marks.of(CASES, FACTS, {})),)
    assert len(found.looks) == 2


def test_a_plan_alone_is_no_look(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    made = plan.make(CASES, FACTS, {}, "test", {"m": FACTS.thresholds}, 2000)
    looks.plan(looks.Places(path), made, marks.of(CASES, FACTS, {}))
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


def test_the_same_cases_are_known_again_under_another_name_order_and_folder(tmp_path: Path) -> None:
    register = tmp_path / "state" / "register.jsonl"
    first = look(looks.beside(tmp_path / "a.csv"), register=register)
    assert first.sentence.endswith("that is recorded, beside this table or in your register.")
    second = look(looks.beside(tmp_path / "copies" / "b.csv"), CASES[::-1], "n", register=register)
    assert (second.number, second.models, second.changes) == (2, 2, ())
    assert second.sentence.endswith("; the same cases were judged under another name: a.csv.")
    third = look(looks.beside(tmp_path / "copies" / "b.csv"), CASES[1:], "n", register=register)
    assert third.number == 3
    assert third.changes == ("1 of 6 test cases were left out",)


def test_first_hour_a_count_out_of_the_register_says_whose_it_is_and_of_whom(tmp_path: Path) -> None:
    register, told = tmp_path / "register.jsonl", "; counted are all looks at these very patients in your register on"
    look(looks.beside(tmp_path / "a" / "cohort.csv"), register=register)
    assert told not in look(looks.beside(tmp_path / "a" / "cohort.csv"), register=register).sentence
    other = look(looks.beside(tmp_path / "b" / "cohort.csv"), register=register)
    assert other.number == 3
    assert told in other.sentence
    assert other.sentence.endswith("(patients that insula makes with the same seed are the same).")


def test_a_table_in_the_same_folder_is_known_without_a_register(tmp_path: Path) -> None:
    look(looks.beside(tmp_path / "A.csv"))
    second = look(looks.beside(tmp_path / "B.csv"))
    assert second.number == 2
    assert looks.guard(second).finding.endswith("under another name: A.csv")
    (tmp_path / "elsewhere").mkdir()
    assert look(looks.beside(tmp_path / "elsewhere" / "a.csv")).number == 1


def test_other_cases_of_the_same_names_are_not_taken_for_them(tmp_path: Path) -> None:
    register = tmp_path / "register.jsonl"
    look(looks.beside(tmp_path / "a" / "a.csv"), register=register)
    other = tuple(case(c.key, "q", ("normal", "stroke")[i % 3 == 0]) for i, c in enumerate(CASES))
    assert look(looks.beside(tmp_path / "b" / "b.csv"), other, register=register).number == 1


def test_what_is_previewed_counts_only_when_it_is_seen(tmp_path: Path) -> None:
    places = looks.Places(tmp_path / "a.csv.looks.jsonl", tmp_path / "register.jsonl")
    here = marks.of(CASES, FACTS, {})
    made = looks.plan(places, plan.make(CASES, FACTS, {}, "test", {"m": FACTS.thresholds}, 2000), here)
    for _ in range(2):
        assert looks.preview(places, made, here).number == 1
    looks.count(places, made)
    assert looks.preview(places, made, here).number == 2
    assert len(looks_file.read(places.record).looks) == len(looks_file.read(tmp_path / "register.jsonl").looks) == 1


def test_a_register_is_the_users_own_where_there_can_be_one(tmp_path: Path) -> None:
    assert looks.register({"INSULA_LOOKS": str(tmp_path / "x.jsonl")}) == tmp_path / "x.jsonl"
    assert looks.register({"INSULA_LOOKS": ""}) is None
    assert looks.register({"HOME": str(tmp_path)}) == tmp_path / ".local/state/insula/looks.jsonl"
    assert looks.register({"HOME": "/x", "XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "insula/looks.jsonl"
    assert looks.register({}) is None
