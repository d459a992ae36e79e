"""QIDO-RS and WADO-RS: what the service made is found and fetched, by those who may see it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid
from tests.serve.api.made import Made
from tests.serve.dicomweb.made import result, values

from insula.serve.dicomweb import query
from insula.serve.store import schema

pytestmark = pytest.mark.serve
ONE = {"Accept": "application/dicom"}


@dataclass
class Results:
    """Two objects in one study and one in another, all of one prediction."""

    made: Made
    prediction: str
    study: str
    first: FileDataset
    second: FileDataset
    elsewhere: FileDataset

    def find(self, path: str, role: str = "reader", **params: Any) -> list[dict[str, Any]]:
        """The rows of a search."""
        answer = self.made.client(role).get(f"/dicom-web/{path}", params=params)
        assert answer.status_code in (200, 204), answer.text
        found: list[dict[str, Any]] = answer.json() if answer.status_code == 200 else []
        return found


@pytest.fixture(scope="module")
def results(made: Made) -> Iterator[Results]:
    """Results of a prediction in the project Inside."""
    prediction, study = made.predicted(patient="P-1")["id"], generate_uid()
    first = result(made, prediction, study, 1)
    second = result(made, prediction, study, 2, Modality="SR", SeriesDescription="Report [research use only]")
    elsewhere = result(made, prediction, generate_uid(), 3, StudyDate="20250505", PatientName="Doe^Jane")
    yield Results(made, prediction, study, first, second, elsewhere)
    with made.service.records.begin() as connection:
        connection.execute(schema.pacs_objects.delete())


def test_a_study_is_found_with_what_is_in_it(results: Results) -> None:
    (row,) = results.find("studies", StudyInstanceUID=results.study)
    assert values(row, "0020000D") == [results.study]
    assert values(row, "00100010") == [{"Alphabetic": "Öz^Ayşe"}]
    assert values(row, "00080061") == ["OT", "SR"]
    assert (values(row, "00201206"), values(row, "00201208")) == ([2], [2])
    assert values(row, "00081190") == [f"https://127.0.0.1/dicom-web/studies/{results.study}"]
    assert "00080018" not in row, "a study has no SOP Instance UID"


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"PatientID": "P-1"}, 2),
        ({"00100020": "P-?"}, 2),
        ({"PatientName": "öz*"}, 1),
        ({"PatientName": "doe^jane"}, 1),
        ({"StudyDate": "20260101-20260131"}, 1),
        ({"StudyDate": "-20251231"}, 1),
        ({"StudyDate": "20260102"}, 1),
        ({"AccessionNumber": "A-8"}, 0),
        ({"PatientID": ""}, 2),
        ({"PatientID": "P-[1]"}, 0),
        ({"PatientName": "*", "PatientID": "p-1"}, 0),
    ],
)
def test_studies_are_found_by_their_attributes(results: Results, params: dict[str, str], count: int) -> None:
    assert len(results.find("studies", **params)) == count


def test_series_and_objects_are_found_within_a_study_and_without(results: Results) -> None:
    study = results.study
    assert len(results.find(f"studies/{study}/series")) == 2
    (row,) = results.find(f"studies/{study}/series", Modality="SR")
    assert values(row, "0020000E") == [results.second.SeriesInstanceUID]
    assert values(row, "0008103E") == ["Report [research use only]"]
    assert len(results.find(f"studies/{study}/instances")) == 2
    (row,) = results.find(f"studies/{study}/series/{results.first.SeriesInstanceUID}/instances")
    assert values(row, "00080018") == [results.first.SOPInstanceUID]
    assert values(row, "00280010") == [4]
    assert len(results.find("series")) == len(results.find("instances")) == 3
    several = f"{results.first.SOPInstanceUID},{results.elsewhere.SOPInstanceUID}"
    assert len(results.find("instances", SOPInstanceUID=several)) == 2
    assert len(results.find("instances", SOPClassUID=SecondaryCaptureImageStorage)) == 3


def test_fields_are_given_as_asked_for(results: Results) -> None:
    uid = results.second.SOPInstanceUID
    (row,) = results.find("instances", SOPInstanceUID=uid, includefield="PhotometricInterpretation")
    assert values(row, "00280004") == ["MONOCHROME2"]
    (row,) = results.find("instances", SOPInstanceUID=uid)
    assert "00280004" not in row
    (row,) = results.find("instances", SOPInstanceUID=uid, includefield="all")
    assert {"00280004", "00083002"} <= row.keys()
    assert "7FE00010" not in row


def test_long_lists_come_by_pages(results: Results) -> None:
    client = results.made.client("reader")
    answer = client.get("/dicom-web/instances", params={"limit": 2})
    assert len(answer.json()) == 2
    assert answer.headers["Warning"].startswith("299 ")
    rest = client.get("/dicom-web/instances", params={"limit": 2, "offset": 2})
    assert len(rest.json()) == 1
    assert "Warning" not in rest.headers
    uids = {values(row, "00080018")[0] for row in (*answer.json(), *rest.json())}
    assert len(uids) == 3
    assert client.get("/dicom-web/instances", params={"offset": 3}).status_code == 204


@pytest.mark.parametrize(
    "params",
    [{"Nonsense": "1"}, {"limit": "-1"}, {"offset": "x"}, {"includefield": "Nonsense"}, {"PatientID": "x" * 5000}],
)
def test_a_search_that_is_none_is_refused(results: Results, params: dict[str, str]) -> None:
    answer = results.made.client("reader").get("/dicom-web/studies", params=params)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_search"


def test_a_search_reads_no_more_than_it_may(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_MOST_READ", 1)
    client = results.made.client("reader")
    assert client.get("/dicom-web/instances").status_code == 413
    assert client.get("/dicom-web/instances", params={"Modality": "SR"}).status_code == 200


def test_an_object_comes_back_as_it_was_kept(results: Results) -> None:
    client, one = results.made.client("reader"), results.first
    place = f"/dicom-web/studies/{results.study}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"
    answer = client.get(place, headers=ONE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom")
    read = pydicom.dcmread(io.BytesIO(answer.content))
    assert read.PixelData == one.PixelData
    assert read.PatientName == one.PatientName
    wrapped = client.get(place, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})
    assert wrapped.headers["content-type"].startswith('multipart/related; type="application/dicom"; boundary=')
    assert answer.content in wrapped.content
    for syntax, status in (("1.2.840.10008.1.2.1", 200), ("1.2.840.10008.1.2.4.90", 406)):
        accept = f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
        assert client.get(place, headers={"Accept": accept}).status_code == status
    assert client.get(place, headers={"Accept": "image/png"}).status_code == 406


def test_metadata_are_all_attributes_without_pixels(results: Results) -> None:
    answer = results.made.client("reader").get(f"/dicom-web/studies/{results.study}/metadata")
    assert answer.status_code == 200
    rows = answer.json()
    assert {values(row, "00080018")[0] for row in rows} == {
        results.first.SOPInstanceUID,
        results.second.SOPInstanceUID,
    }
    for row in rows:
        assert "7FE00010" not in row
        assert pydicom.Dataset.from_json(row).PatientID == "P-1"


def test_a_search_reads_an_object_to_its_pixels_alone(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    uid, opened, read = generate_uid(), results.made.service.files.open, [0]
    result(results.made, results.prediction, uid, 1, Rows=1000, Columns=1000, PixelData=bytes(1_000_000))

    class Counted:
        def __init__(self, stream: IO[bytes]) -> None:
            self._stream = stream
            self.seek, self.tell = stream.seek, stream.tell

        def read(self, size: int = -1) -> bytes:
            found = self._stream.read(size)
            read[0] += len(found)
            return found

    @contextmanager
    def counting(sha256: str) -> Iterator[Any]:
        with opened(sha256) as stream:
            yield Counted(stream)

    monkeypatch.setattr(results.made.service.files, "open", counting)
    assert len(results.find(f"studies/{uid}/instances")) == 1
    assert 0 < read[0] < 100_000


def test_nobody_sees_what_was_made_for_others(results: Results) -> None:
    client = results.made.client("stranger")
    assert results.find("studies", "stranger") == []
    assert results.find("instances", "stranger", SOPInstanceUID=results.first.SOPInstanceUID) == []
    for path in ("", "/metadata", f"/series/{results.first.SeriesInstanceUID}"):
        assert client.get(f"/dicom-web/studies/{results.study}{path}", headers={"Accept": "*/*"}).status_code == 404
    assert results.made.client("auditor").get("/dicom-web/studies").status_code == 403
    assert results.made.fresh().get("/dicom-web/studies").status_code == 401


def test_what_a_second_reader_must_not_know_yet_is_not_in_the_list(results: Results) -> None:
    made = results.made
    prediction = made.predicted(patient="P-2")
    uid = generate_uid()
    said = {"target": prediction["answer"]["target"], "verdict": "agree", "signature": "R. Viewer"}
    where = f"/api/v1/studies/{prediction['study_id']}/reviews"
    answer = made.client("reviewer").post(where, json={**said, "prediction": prediction["id"]})
    assert answer.status_code == 201, answer.text
    result(made, prediction["id"], uid, 1, review_id=answer.json()["id"])
    assert len(results.find(f"studies/{uid}/instances", "reviewer")) == 1, "he knows what he said himself"
    assert len(results.find(f"studies/{uid}/instances", "admin")) == 0, "who reads may be the second reader"
    assert len(results.find(f"studies/{uid}/instances", "reader")) == 1, "who does not read is told"


def test_every_look_is_told_to_the_trail_by_our_own_names(results: Results) -> None:
    made = results.made
    made.client("reader").get(f"/dicom-web/studies/{results.study}/metadata")
    told = made.client("auditor").get("/api/v1/trail", params={"action": "dicomweb.retrieve"}).json()["items"][0]
    assert told["subject"] == results.prediction
    assert results.study not in str(told)
