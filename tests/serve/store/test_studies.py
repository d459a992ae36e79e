"""Patients and studies: made once, listed by pages, changed by version, joined."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, false, select
from tests.serve.store.made_records import files_at, predicted, project, put, study

from insula.serve.faults import RequestError
from insula.serve.store import patients, schema, studies
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve


def status(caught: pytest.ExceptionInfo[RequestError]) -> tuple[int, str]:
    return caught.value.status, caught.value.fault_code


def test_a_patient_is_made_once_per_project(records: Engine) -> None:
    with writing(records) as connection:
        a, b = project(connection, "A"), project(connection, "B")
        first = patients.get_or_create(connection, a, " 007 ")
        assert patients.get_or_create(connection, a, "007", "Ayşe 張") == first
        assert patients.get_or_create(connection, a, "007", "Other") == first
        assert patients.get_or_create(connection, b, "007") != first
        assert patients.get(connection, first, {a}) == patients.Patient(first, a, "007", "Ayşe 張")
        assert [one.project_id for one in patients.page(connection, None).rows] == [b, a]
        with pytest.raises(RequestError) as caught:
            patients.get(connection, first, {b})
    assert status(caught) == (404, "not_found")


@pytest.mark.parametrize("key", ["", "  ", "a\nb", "x" * 65, "a\0"])
def test_a_key_that_is_none_is_refused(records: Engine, key: str) -> None:
    with pytest.raises(RequestError, match="patient key") as caught, writing(records) as connection:
        patients.get_or_create(connection, project(connection), key)
    assert status(caught) == (422, "bad_text")


def test_pages_hold_each_study_of_the_visible_projects_once_and_newest_first(records: Engine) -> None:
    with writing(records) as connection:
        a, b, c = (project(connection, name) for name in "ABC")
        made = [study(connection, (a, b, c)[i % 3], f"P{i % 5}", f"S{i}") for i in range(30)]
        for visible, wanted in (
            ({a, b}, [one for i, one in enumerate(made) if i % 3 != 2]),
            (None, made),
            (schema.studies.c.project_id == c, made[2::3]),
            (set(), []),
            (false(), []),
        ):
            found: list[str] = []
            before, pages = None, 0
            while pages == 0 or before is not None:
                page = studies.page(connection, visible, before, limit=4)
                found += [row.id for row in page.rows]
                before, pages = page.before, pages + 1
            assert found == wanted[::-1]
            assert pages == max(1, -(-len(wanted) // 4))
        only = studies.page(connection, {a, b, c}, patient_id=studies.get(connection, made[7], None).patient_id)
        assert {row.patient_key for row in only.rows} == {"P2"}


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_page_of_a_wrong_size_is_refused(records: Engine, limit: int) -> None:
    with reading(records) as connection, pytest.raises(RequestError) as caught:
        studies.page(connection, None, limit=limit)
    assert status(caught) == (422, "bad_limit")


def test_a_change_needs_the_version_that_was_seen(records: Engine) -> None:
    with writing(records) as connection:
        one = study(connection, project(connection))
        assert studies.update_text(connection, one, 1, note="first\nlook") == 2
        assert studies.update_text(connection, one, 2, title=" Head CT ") == 3
        seen = studies.get(connection, one, None)
        assert (seen.title, seen.note, seen.version, seen.patient_key) == ("Head CT", "first\nlook", 3, "P1")
        with pytest.raises(RequestError, match="version 3, not 2") as caught:
            studies.update_text(connection, one, 2, note="late")
        assert status(caught) == (412, "changed")
        assert studies.get(connection, one, None).note == "first\nlook"
        with pytest.raises(RequestError) as caught:
            studies.update_text(connection, "none", 1, note="x")
        assert status(caught) == (404, "not_found")
        with pytest.raises(RequestError, match="at most 20000"):
            studies.update_text(connection, one, 3, note="x" * 20_001)


def test_files_keep_their_order_and_a_shown_name(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        one = study(connection, project(connection))
        named = [(f"../{i}\n.dcm", put(files, str(i).encode())) for i in range(12)]
        ids = studies.add_files(connection, files, one, "ct", named)
        found = studies.files_of(connection, one)
        assert [file.id for file in found] == ids
        assert [files.get(file.sha256) for file in found] == [str(i).encode() for i in range(12)]
        assert found[3].name == "../3.dcm"
        for role in ("", "CT", "a/b", "ct.0", "ct.x"):
            with pytest.raises(RequestError) as caught:
                studies.add_files(connection, files, one, role, named)
            assert status(caught) == (422, "bad_role")


def test_joined_studies_are_one_case_with_all_scans_by_role(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a = project(connection)
        ct, mri, slides = (study(connection, a) for _ in range(3))
        for one, role in (
            (ct, "ct"),
            (mri, "mri"),
            (mri, "ct"),
            (slides, "slide.2"),
            (slides, "slide"),
            (slides, "ct"),
        ):
            studies.add_files(connection, files, one, role, [(role, put(files, f"{one}{role}".encode()))])
        said = predicted(connection, mri)
        assert studies.join(connection, [ct, mri, slides]) == ct
        roles = {file.role: files.get(file.sha256).decode() for file in studies.files_of(connection, ct)}
        assert {role: text[:32] for role, text in roles.items()} == {
            "ct": ct,
            "ct.2": mri,
            "ct.3": slides,
            "mri": mri,
            "slide": slides,
            "slide.2": slides,
        }
        assert connection.scalars(select(schema.studies.c.id)).all() == [ct]
        of = select(schema.predictions.c.study_id).where(schema.predictions.c.id == said)
        assert connection.execute(of).scalar_one() == ct
        assert studies.get(connection, ct, None).version == 2


def test_studies_of_two_patients_are_not_joined(records: Engine) -> None:
    with writing(records) as connection:
        a = project(connection)
        one, other = study(connection, a, "P1"), study(connection, a, "P2")
        for ids, told in (([one, other], (422, "not_one_patient")), ([one], (422, "not_one_patient")),
                          ([one, one], (422, "not_one_patient")), ([one, "none"], (404, "not_found"))):  # fmt: skip
            with pytest.raises(RequestError) as caught:
                studies.join(connection, ids)
            assert status(caught) == told
        assert len(studies.page(connection, None).rows) == 2


def test_a_removed_study_takes_all_of_it_along(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        one = study(connection, project(connection))
        studies.add_files(connection, files, one, "ct", [("a", put(files, b"a"))])
        predicted(connection, one)
        studies.remove(connection, one)
        for table in (schema.studies, schema.files, schema.predictions):
            assert connection.execute(select(table)).all() == []
