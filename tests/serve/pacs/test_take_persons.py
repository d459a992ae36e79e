"""Whose a study is that came in: numbers of several issuers, and several people with one number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid
from tests.serve.api.made import Made
from tests.serve.pacs.made_studies import Quiet, node, slices

from insula.serve.pacs import whole
from insula.serve.store import studies
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve


@pytest.fixture
def quiet(made: Made, tmp_path: Path) -> Iterator[Quiet]:
    with node(made, tmp_path) as found:
        yield found


def test_one_number_of_two_issuers_is_two_patients_of_the_records(quiet: Quiet) -> None:
    found = [
        quiet.taken(slices(patient="4711", PatientName=f"{name}^Pat", IssuerOfPatientID=issuer), predict=False)
        for name, issuer in (("Doe", "A"), ("Roe", "B"))
    ]
    with reading(quiet.made.service.records) as connection:
        kept = [studies.get(connection, one.study_id, None) for one in found]
    assert [(one.patient_key, one.patient_name) for one in kept] == [("4711 (A)", "Doe, Pat"), ("4711 (B)", "Roe, Pat")]


@pytest.mark.parametrize("other", [{"PatientName": "Roe^Richard"}, {"PatientBirthDate": "19800101"}])
def test_another_person_of_the_same_number_waits_until_somebody_says_that_it_is_one(
    quiet: Quiet, other: dict[str, Any]
) -> None:
    number = f"UNKNOWN-{'-'.join(other)}"
    said: dict[str, Any] = {"patient": number, "PatientName": "Doe^Jane", "PatientBirthDate": "19700131"}
    first = quiet.taken(slices(**said), predict=False)
    assert first.state == "taken"
    second = quiet.taken(slices(**{**said, **other}), predict=False)
    assert (second.state, second.study_id, second.error["code"]) == ("failed", None, "another_patient")
    assert not any(word in str(second.error) for word in ("Roe", "Doe", number, "1970", "1980"))
    for same, state in ((False, "failed"), (True, "taken")):
        with writing(quiet.made.service.records) as connection:
            whole.retry(connection, second.id, quiet.clock(), same)
        quiet.worked(predict=False)
        quiet.look()
        assert quiet.row(second.id).state == state
    third = quiet.taken(slices(**{**said, **other}), predict=False)
    assert third.state == "taken", "it is known now that both are one person"
    with reading(quiet.made.service.records) as connection:
        assert "Roe" not in str(studies.get(connection, third.study_id, None).facts)


def test_objects_of_another_person_do_not_come_into_a_study_that_is_there(quiet: Quiet) -> None:
    study, series = generate_uid(), generate_uid()
    quiet.taken(slices(study, series, patient="UNKNOWN-2", PatientName="Doe^Jane"), predict=False)
    found = quiet.taken(slices(study, series, (3,), patient="UNKNOWN-2", PatientName="DOE^J"), predict=False)
    assert (found.state, found.error) == ("taken", None)
    for number, born, state in ((4, "19800101", "taken"), (5, "19900101", "failed")):
        late = slices(study, series, (number,), patient="UNKNOWN-2", PatientName="", PatientBirthDate=born)
        found = quiet.taken(late, predict=False)
        assert found.state == state
    assert found.error["code"] == "another_patient"
    with reading(quiet.made.service.records) as connection:
        assert len(studies.files_of(connection, found.study_id)) == 4
