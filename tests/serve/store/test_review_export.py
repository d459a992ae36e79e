"""Reviewed studies come out as a cohort that the other verbs read."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine
from tests.serve.store.made_records import files_at, predicted, project, study, user
from tests.tiny_cohort import make

from insula.cohort.split import split
from insula.cohort.table import load, load_notes
from insula.core.errors import CohortError
from insula.core.recipe import Recipe, parse
from insula.scans.read import read_files
from insula.serve.store import reviews, schema, studies
from insula.serve.store.connect import writing
from insula.serve.store.files import Files
from insula.serve.store.review_export import LeftOut, export, reviewed
from insula.serve.store.reviews import Said, Verdict

pytestmark = pytest.mark.serve


def question(**inputs: object) -> Recipe:
    return parse(
        {
            "name": "answer",
            "question": "Is there a stroke?",
            "inputs": inputs or {"ct": {"modality": "CT", "unit": "series", "prep": [{"resize": 16}]}},
            "targets": {"answer": {"kind": "binary", "classes": ["normal", "stroke"]}},
            "model": {"encoder": "resnet18", "pretrained": False},
        },
        "answer.yaml",
    )


def lay(connection: Connection, files: Files, scans: Path, project_id: str, role: str = "ct") -> list[str]:
    """A study of each patient of a small CT cohort, its files in an order of no meaning."""
    found = []
    for i in range(8):
        one = study(connection, project_id, f"A{i}")
        stored = []
        for path in sorted((scans / str(i)).iterdir(), reverse=True):
            with path.open("rb") as stream:
                stored.append((path.name, files.put(stream, 1 << 20)))
        studies.add_files(connection, files, one, role, stored)
        found.append(one)
    return found


def say(
    connection: Connection,
    one: str,
    reader: str,
    verdict: Verdict,
    label: str | None = None,
    of: str | None = None,
) -> None:
    reviews.write(connection, one, reader, Said("answer", verdict, "Ada", label), of)


def test_reviewed_studies_are_a_cohort(records: Engine, tmp_path: Path) -> None:
    make(tmp_path / "scans")
    files = files_at(tmp_path)
    with writing(records) as connection:
        a, ada, bob = project(connection), user(connection, "ada"), user(connection, "bob")
        made = lay(connection, files, tmp_path / "scans", a)
        of = [predicted(connection, one, 0.9) for one in made]
        say(connection, made[0], ada, "agree", of=of[0])
        say(connection, made[1], ada, "override", "normal", of[1])
        say(connection, made[2], ada, "override", "normal")  # from scratch
        say(connection, made[3], ada, "agree", of=of[3])
        say(connection, made[3], bob, "override", "normal", of[3])  # the readers differ
        say(connection, made[4], ada, "cannot_tell", of=of[4])
        say(connection, made[5], ada, "agree", of=of[5])
        say(connection, made[5], ada, "override", "normal", of[5])  # the later one counts
        say(connection, made[6], ada, "cannot_tell", of=of[6])
        say(connection, made[6], bob, "agree", of=of[6])  # one could tell
        told = export(connection, files, tmp_path / "out", question(), {a})
        patients = [studies.get(connection, one, None).patient_id for one in made]
    assert told.cases == 5
    assert {left.study_id: left.reason.split(" (")[0] for left in told.left_out} == {
        made[3]: "its readers differ",
        made[4]: "no reader gave it a label",
    }
    cohort = load(told.table)
    labels = {case.patient: case.labels["answer"] for case in cohort.cases}
    assert labels == {
        patients[0]: ("stroke",),
        patients[1]: ("normal",),
        patients[2]: ("normal",),
        patients[5]: ("normal",),
        patients[6]: ("stroke",),
    }
    for case in cohort.cases:
        paths = [Path(cohort.root) / path for path in case.scans["ct"].paths]
        volume = read_files(paths)
        original = sorted((tmp_path / "scans" / str(patients.index(case.patient))).iterdir())
        assert (volume.array == read_files(original).array).all()
    assert cohort.patient_ids
    assert load_notes(told.table).layout == "reviews"
    assert "A0" not in told.table.with_name("cohort.parquet.schema.json").read_text()
    assert len(split(cohort, question()).cases) == 5


def test_room_is_asked_for_before_a_scan_is_laid_out(records: Engine, tmp_path: Path) -> None:
    make(tmp_path / "scans", patients=2)
    files, asked = files_at(tmp_path), []
    with writing(records) as connection:
        one = study(connection, project(connection), "A0")
        with next((tmp_path / "scans" / "0").iterdir()).open("rb") as scan:
            stored = files.put(scan, 1 << 20)
        studies.add_files(connection, files, one, "ct", [("a", stored)])
        say(connection, one, user(connection, "ada"), "override", "stroke")

        def none(size: int) -> None:
            asked.append(size)
            raise OSError(errno.ENOSPC, "no space")

        with pytest.raises(OSError, match="no space"):
            export(connection, files, tmp_path / "out", question(), None, room=none)
    assert asked == [stored.size]
    assert not list((tmp_path / "out").iterdir())


def test_only_visible_studies_and_readable_labels_are_exported(records: Engine, tmp_path: Path) -> None:
    make(tmp_path / "scans")
    files = files_at(tmp_path)
    with writing(records) as connection:
        a, b, ada = project(connection, "A"), project(connection, "B"), user(connection, "ada")
        mine, other = (lay(connection, files, tmp_path / "scans", one) for one in (a, b))
        empty = study(connection, a, "empty")
        torn = study(connection, a, "A0")
        for one in (mine[0], mine[2], empty, other[3]):
            say(connection, one, ada, "override", "stroke")
        say(connection, mine[1], ada, "override", "tumour")
        say(connection, torn, ada, "override", "normal")
        told = export(connection, files, tmp_path / "out", question(), {a})
        assert told.cases == 1
        assert {left.study_id: left.reason for left in told.left_out} == {
            mine[0]: "its patient has studies of two classes",
            torn: "its patient has studies of two classes",
            mine[1]: "its label 'tumour' is none of the recipe's",
            empty: "it has no file of the role ct",
        }
        with pytest.raises(CohortError, match="not empty"):
            export(connection, files, tmp_path / "out", question(), {a})
        with pytest.raises(CohortError, match="None of the reviewed studies"):
            export(connection, files, tmp_path / "none", question(), set())


def test_a_file_that_is_no_scan_is_left_out_and_told(records: Engine, tmp_path: Path) -> None:
    make(tmp_path / "scans")
    files = files_at(tmp_path)
    with writing(records) as connection:
        a, ada = project(connection), user(connection)
        made = lay(connection, files, tmp_path / "scans", a)
        text = tmp_path / "note.txt"
        text.write_text("no scan")
        with text.open("rb") as stream:
            studies.add_files(connection, files, made[0], "ct", [("note", files.put(stream, 99))])
        say(connection, made[0], ada, "override", "stroke")
        told = export(connection, files, tmp_path / "out", question(), {a})
    assert told.cases == 1
    assert [left.study_id for left in told.left_out] == [made[0]]


def test_scans_of_two_roles_are_one_case(records: Engine, tmp_path: Path) -> None:
    make(tmp_path / "scans")
    files = files_at(tmp_path)
    section = {"modality": "CT", "unit": "series", "prep": [{"resize": 16}]}
    with writing(records) as connection:
        a, ada = project(connection), user(connection)
        first = lay(connection, files, tmp_path / "scans", a)
        second = lay(connection, files, tmp_path / "scans", a, "late")
        for i in range(3):
            studies.join(connection, [first[i], second[i]])
            say(connection, first[i], ada, "override", ("normal", "stroke")[i % 2])
        told = export(connection, files, tmp_path / "out", question(ct=section, late=section), {a})
    assert told.cases == 3
    assert {tuple(case.scans) for case in load(told.table).cases} == {("ct", "late")}


def test_of_labels_that_stand_together_several_are_read(records: Engine, tmp_path: Path) -> None:
    make(tmp_path / "scans")
    files = files_at(tmp_path)
    recipe = question()
    target = {"kind": "multilabel", "classes": ["any", "subdural", "epidural"], "primary": "any"}
    given = recipe.model_dump(by_alias=True, exclude_unset=True)
    recipe = parse({**given, "targets": {"answer": target}}, "answer.yaml")
    with writing(records) as connection:
        a, ada = project(connection), user(connection)
        made = lay(connection, files, tmp_path / "scans", a)
        for one, label in zip(made, ("no any", "subdural;epidural", "none", "any", "no subdural"), strict=False):
            say(connection, one, ada, "override", label)
        patients = [studies.get(connection, one, None).patient_id for one in made]
        told = export(connection, files, tmp_path / "out", recipe, {a})
    assert {case.patient: case.labels["answer"] for case in load(told.table).cases} == {
        patients[0]: (),
        patients[1]: ("any", "subdural", "epidural"),
        patients[2]: (),
        patients[3]: ("any",),
    }
    assert [left.study_id for left in told.left_out] == [made[4]]


def test_a_reader_who_is_no_longer_known_still_counts_as_one(records: Engine) -> None:
    with writing(records) as connection:
        a, ada, bob = project(connection), user(connection, "ada"), user(connection, "bob")
        one = study(connection, a)
        say(connection, one, ada, "override", "stroke")
        say(connection, one, bob, "override", "normal")
        connection.execute(schema.users.delete())
        found, left, withheld = reviewed(connection, "answer", {a})
    assert (found, withheld) == ([], 0)
    assert left == [LeftOut(one, "its readers differ (normal, stroke); let them agree")]


def test_whoever_reads_himself_is_told_nothing_that_he_has_not_answered(records: Engine, tmp_path: Path) -> None:
    make(tmp_path / "scans")
    files = files_at(tmp_path)
    with writing(records) as connection:
        a, ada, bob = project(connection), user(connection, "ada"), user(connection, "bob")
        made = lay(connection, files, tmp_path / "scans", a)
        for one in made[:3]:
            say(connection, one, ada, "override", "stroke")
        third = user(connection, "cem")
        say(connection, made[2], third, "override", "normal")  # the readers differ, which tells both labels
        with pytest.raises(CohortError, match="3 studies that others answered are withheld") as error:
            export(connection, files, tmp_path / "none", question(), {a}, bob)
        assert "stroke" not in str(error.value)
        reviews.write(connection, made[1], bob, Said("another question", "override", "Bob", "stroke"))
        say(connection, made[0], bob, "override", "stroke")
        told = export(connection, files, tmp_path / "out", question(), {a}, bob)
        whole = export(connection, files, tmp_path / "whole", question(), {a})
        patients = [studies.get(connection, one, None).patient_id for one in made]
    assert (told.cases, told.left_out, told.withheld) == (1, (), 2)
    assert [case.patient for case in load(told.table).cases] == [patients[0]]
    assert "2 studies that others answered are withheld" in load_notes(told.table).why
    written = b"".join(path.read_bytes() for path in sorted((tmp_path / "out").rglob("*")) if path.is_file())
    assert made[2].encode() not in written
    assert (whole.cases, whole.withheld, len(whole.left_out)) == (2, 0, 1)
    assert load_notes(whole.table).why == "made of the readers' labels"
