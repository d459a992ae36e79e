"""A study that is stored under pseudonyms: predicted as any other, and its results go back with the true patient."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydantic import SecretStr
from pydicom.uid import UID
from sqlalchemy import update
from tests.serve.api.made import Made
from tests.serve.pacs.archive import archive
from tests.serve.pacs.made_studies import Quiet, node, slices
from tests.serve.pacs.pseudonymous import everything
from tests.serve.pacs.sending import worked

from insula.serve.pacs.identity import made as seal_of
from insula.serve.pacs.received import receive
from insula.serve.store import schema
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve
KEY = "i" * 40
RULES = """
rules:
  - name: research heads
    when: {modality: CT, study_description: "*for the trial of canary*"}
    project: Inside
    model: tiny-ct
    send: [archive]
    objects: [report, capture, map]
    uncertainty: false
    pseudonymise: true
"""
WHO: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "Canary^Zoë",
    "PatientBirthDate": "19600203",
    "AccessionNumber": "CNACC7",
    "StudyID": "CN7",
    "StudyDate": "20240305",
    "StudyTime": "101112",
    "ReferringPhysicianName": "Canary^House",
    "InstitutionName": "Canary Hospital",
    "StudyDescription": "Head for the trial of Canary",
    "FrameOfReferenceUID": "1.2.999.77.7",
}
TRUE, SERIES = "1.2.999.77", "1.2.999.77.1"


def settings(url: str) -> dict[str, Any]:
    return {"peers": f"archive={url}", "identity_key": SecretStr(KEY)}


def originals() -> list[bytes]:
    """The study as it was sent, always the same."""
    sent = []
    for number, data in enumerate(slices(TRUE, SERIES, (1, 2, 3), "CN-4711", **WHO), start=1):
        one = pydicom.dcmread(io.BytesIO(data))
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = UID(f"{SERIES}.{number}")
        stream = io.BytesIO()
        one.save_as(stream, enforce_file_format=True)
        sent.append(stream.getvalue())
    return sent


def slices_named(one: pydicom.Dataset) -> set[str]:
    """The CT slices that an object refers to, at any depth."""
    found = set()
    for element in one.iterall():
        if element.keyword == "ReferencedSOPInstanceUID":
            found.add(str(element.value))
    return found


def came(quiet: Quiet) -> Any:
    return quiet.taken(originals())


def test_results_go_back_to_the_true_patient_and_nothing_else_is_known_here(made: Made, tmp_path: Path) -> None:
    with archive() as kept, node(made, tmp_path, RULES, **settings(kept.url)) as quiet:
        found = came(quiet)
        assert (found.state, found.error) == ("taken", None)
        worked(made, quiet.settings)
        (job,) = quiet.rows(schema.jobs, kind="pacs_send", study_id=found.study_id)
        assert job.state == "done", job.error
        sent = [pydicom.dcmread(io.BytesIO(one)) for one in kept.studies[TRUE]]
    assert {str(one.Modality) for one in sent} >= {"SR"}
    for one in sent:
        assert (str(one.PatientName), one.PatientID, one.AccessionNumber) == ("Canary^Zoë", "CN-4711", "CNACC7")
        assert (one.PatientBirthDate, one.StudyDate, one.StudyID) == ("19600203", "20240305", "CN7")
        assert "PatientIdentityRemoved" not in one
        back = [receive(made.service, one, "ARCHIVE").state for one in kept.studies[TRUE]]
    assert set(back) == {"again"}, "an archive that passes on all it gets has nothing predicted anew"
    named = set().union(*(slices_named(one) for one in sent))
    own = {str(one.SOPInstanceUID) for one in sent}
    assert {f"{SERIES}.{number}" for number in (1, 2, 3)} & named
    assert all(name.startswith(f"{SERIES}.") for name in named - own), "no stand-in is left in what is sent"
    assert own.isdisjoint(row.sop_instance_uid for row in quiet.rows(schema.pacs_objects))
    seen = everything(made.service.records) + b"".join(
        made.service.files.get(name) for name in {row.sha256 for row in quiet.rows(schema.pacs_objects)}
    )
    for word in (b"Canary", b"CN-4711", b"CNACC7", b"1.2.999.77", b"19600203", b"20240305", "Zoë".encode()):
        assert word not in seen, word


def test_with_another_key_nothing_is_sent_and_the_job_says_why(made: Made, tmp_path: Path) -> None:
    with archive() as kept, node(made, tmp_path, RULES, **settings(kept.url)) as quiet:
        found = came(quiet)
        other = quiet.settings.model_copy(update={"identity_key": SecretStr("j" * 40)})
        with writing(made.service.records) as connection:
            jobs = schema.jobs.c
            these = update(schema.jobs).where(jobs.kind == "pacs_send", jobs.study_id == found.study_id)
            connection.execute(these.values(state="waiting", attempts=0, most_attempts=1))
        worked(made, other)
        (job,) = quiet.rows(schema.jobs, kind="pacs_send", study_id=found.study_id)
        assert kept.studies == {}
    assert "another key" in job.error["message"]
    assert seal_of(KEY).pseudonyms.name("CN-4711") not in str(job.error)
