"""Answers to a real Orthanc, by DIMSE and by web: in the patient's own study, unchanged, once however often sent."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.uid import Comprehensive3DSRStorage, ParametricMapStorage
from tests.pacs.orthanc import AE, Orthanc
from tests.serve.api.made import Made, service
from tests.serve.pacs.sending import ask, head, job, predicted, read, reviewed, settings_of, worked
from tests.tiny_bundle import make

from insula.scans.write import made_uid
from insula.serve.pacs.objects import KINDS, objects_of

pytestmark = pytest.mark.pacs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A service over a tiny bundle."""
    folder = Path(tmp_path_factory.mktemp("service"))
    with service(make(folder, unit="series"), f"sqlite:///{folder}/insula.db", folder) as found:
        yield found


def address(orthanc: Orthanc, way: str) -> str:
    return f"dicom://{AE}@127.0.0.1:{orthanc.dicom}" if way == "dimse" else orthanc.web


def instances(orthanc: Orthanc, study: str) -> dict[str, pydicom.FileDataset]:
    """All that Orthanc has of a study, by the objects' UIDs."""
    (name,) = [one["ID"] for one in _found(orthanc, study)]
    files = [orthanc.file(f"/instances/{one['ID']}/file") for one in orthanc.get(f"/studies/{name}/instances")]
    read_back = [pydicom.dcmread(io.BytesIO(data)) for data in files]
    return {str(one.SOPInstanceUID): one for one in read_back}


def _found(orthanc: Orthanc, study: str) -> list[dict[str, Any]]:
    answer = httpx.post(f"{orthanc.http}/tools/lookup", content=study, timeout=30)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


@pytest.mark.parametrize("way", ["dimse", "web"])
def test_answers_stand_in_the_patients_study(made: Made, orthanc: Orthanc, way: str) -> None:
    patient = f"ORTHANC-{way}"
    study = made_uid("study of", patient)
    for number in (1, 2, 3, 4):
        httpx.post(f"{orthanc.http}/instances", content=head(number, patient), timeout=30).raise_for_status()
    answer = predicted(made, patient)
    known = settings_of(archive=address(orthanc, way))
    first = ask(made, answer, "archive", list(KINDS))
    assert worked(made, known) == 1
    assert job(made, first).state == "done", job(made, first).error
    kept = objects_of(made.service, answer["id"], KINDS)
    there = instances(orthanc, study)
    assert len(there) == 4 + len(kept)
    assert len(orthanc.get("/patients")) == len(orthanc.get("/studies")) == 1
    for one in kept:
        assert there[one.sop_instance_uid] == read(made, one)
    kinds = {str(one.SOPClassUID) for one in there.values()}
    assert kinds >= {Comprehensive3DSRStorage, ParametricMapStorage}

    again = ask(made, answer, "archive", list(KINDS))
    assert worked(made, known) == 1
    assert job(made, again).result == {"objects": len(kept)}
    assert len(instances(orthanc, study)) == len(there)

    ask(made, answer, "archive", ["report", "map"], review=reviewed(made, answer))
    assert worked(made, known) == 1
    reports = [one for one in instances(orthanc, study).values() if one.SOPClassUID == Comprehensive3DSRStorage]
    assert sorted(one.VerificationFlag for one in reports) == ["UNVERIFIED", "VERIFIED"]
    assert len(instances(orthanc, study)) == len(there) + 1


def test_an_archive_that_rejects_the_node_is_tried_again(made: Made, orthanc: Orthanc) -> None:
    answer = predicted(made, "ORTHANC-3")
    name = ask(made, answer, "archive", ["report"])
    assert worked(made, settings_of(archive=f"dicom://ANOTHER@127.0.0.1:{orthanc.dicom}")) == 0
    found = job(made, name)
    assert (found.state, found.error["code"]) == ("waiting", "peer_refused")
