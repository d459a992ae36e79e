"""The other ways of a scan: by DICOMweb alone, under pseudonyms, fetched by a person, and from a watched Orthanc."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.uid import Comprehensive3DSRStorage, ParametricMapStorage, SecondaryCaptureImageStorage
from tests.browser import made_bundle, made_scans
from tests.pacs.orthanc import AE, Orthanc, free_port
from tests.pacs.read_back import check_equal, check_in_its_study, of_class, shown
from tests.pacs.site import PROJECT, Hospital, hospital, sent, storescu, until

from insula.serve.store import schema

pytestmark = pytest.mark.pacs
THREE = (Comprehensive3DSRStorage, ParametricMapStorage, SecondaryCaptureImageStorage)
WATCHING = f"""
rules:
  - name: head CT
    when: {{modality: CT}}
    project: {PROJECT}
    model: haemorrhage-ct
    send: [web]
    objects: [report]
"""


def test_by_dicomweb_alone(site: Hospital, orthanc: Orthanc, tmp_path: Path) -> None:
    """STOW-RS to Insula and from Insula to Orthanc; Insula gives out its own by QIDO-RS and WADO-RS."""
    files = made_scans.write(tmp_path, "WEB")
    source = pydicom.dcmread(files[0])
    uid = str(source.StudyInstanceUID)
    DICOMwebClient(orthanc.web).store_instances([pydicom.dcmread(path) for path in files])
    insula = client(site)
    insula.store_instances([pydicom.dcmread(path) for path in files])
    delivery = sent(site, uid)
    objects = shown(orthanc, uid)
    check_in_its_study(objects, source, delivery.objects)
    check_equal(site, objects, delivery.prediction_id)
    for one in THREE:
        assert of_class(objects, one), pydicom.uid.UID(one).name
    own = insula.search_for_instances(uid)
    assert {one["00080018"]["Value"][0] for one in own} == objects.keys() - {
        str(pydicom.dcmread(path).SOPInstanceUID) for path in files
    }
    (report,) = of_class(objects, Comprehensive3DSRStorage)
    again = insula.retrieve_instance(uid, str(report.SeriesInstanceUID), str(report.SOPInstanceUID))
    assert again.ContentSequence == report.ContentSequence


def test_under_pseudonyms_inside_and_under_the_true_name_outside(
    site: Hospital, orthanc: Orthanc, tmp_path: Path
) -> None:
    files = made_scans.write(tmp_path, "SECRETPERSON")
    source = pydicom.dcmread(files[0])
    before = {row.study_uid for row in site.rows(schema.pacs_studies)}
    storescu(orthanc.dicom, AE, files)
    storescu(site.port, "INSULA", files, "RESEARCH")
    (inside,) = {row.study_uid for row in site.rows(schema.pacs_studies)} - before
    assert inside != source.StudyInstanceUID
    delivery = sent(site, inside)
    objects = shown(orthanc, str(source.StudyInstanceUID))
    check_in_its_study(objects, source, delivery.objects)
    for one in THREE:
        assert of_class(objects, one), pydicom.uid.UID(one).name
    for path in (*(site.folder / "files").rglob("*"), *site.folder.glob("insula.db*"), site.folder / "node.log"):
        if path.is_file():
            content = path.read_bytes()
            for secret in ("SECRETPERSON", str(source.StudyInstanceUID), str(source.SOPInstanceUID)):
                assert secret.encode() not in content, f"{path.name} holds {secret}"


def test_a_person_finds_fetches_reviews_and_sends(site: Hospital, orthanc: Orthanc, tmp_path: Path) -> None:
    files = made_scans.write(tmp_path, "FETCH")
    source = pydicom.dcmread(files[0])
    uid = str(source.StudyInstanceUID)
    storescu(orthanc.dicom, AE, files)
    reviewer = site.live.made.client("reviewer")
    for peer in ("archive", "web"):
        found = reviewer.get(f"/api/v1/pacs/peers/{peer}/studies", params={"patient_name": "Made"}).json()
        assert [(one["study_uid"], one["patient_id"], one["instances"]) for one in found["studies"]] == [
            (uid, "FETCH", len(files))
        ], (peer, found)
    assert "Made, FETCH" in reviewer.get("/pacs/search?peer=archive&patient_id=FETCH").text
    assert reviewer.post("/api/v1/pacs/peers/archive/pulls", json={"study_uid": uid}).status_code == 202
    first = sent(site, uid)
    (prediction,) = (row for row in site.rows(schema.predictions) if row.id == first.prediction_id)
    said = {
        "target": "haemorrhage",
        "verdict": "agree",
        "signature": "Rita Reviewer",
        "prediction": prediction.id,
    }
    answer = reviewer.post(f"/api/v1/studies/{prediction.study_id}/reviews", json=said)
    assert answer.status_code == 201, answer.text
    asked = {"peer": "archive", "objects": ["report"]}
    assert reviewer.post(f"/api/v1/predictions/{prediction.id}/send", json=asked).status_code == 202
    second = sent(site, uid, more_than=1)
    assert second.review_id == answer.json()["id"]
    reports = of_class(shown(orthanc, uid), Comprehensive3DSRStorage)
    verified = [one for one in reports if one.VerificationFlag == "VERIFIED"]
    assert (len(reports), len(verified)) == (2, 1)
    assert "Reviewer" in str(verified[0].VerifyingObserverSequence[0].VerifyingObserverName)
    rows = reviewer.get(f"/api/v1/predictions/{prediction.id}/sendings").json()
    assert [(row["peer"], row["state"]) for row in rows] == [("archive", "sent")] * 2
    assert "Sent to the PACS" in reviewer.get(f"/studies/{prediction.study_id}", headers={"accept": "text/html"}).text


def test_what_becomes_stable_in_a_watched_orthanc_is_answered_once(orthanc: Orthanc, tmp_path: Path) -> None:
    """The answer makes the study stable anew: it is not answered again for that."""
    files = made_scans.write(tmp_path / "scan", "WATCHED")
    uid = str(pydicom.dcmread(files[0]).StudyInstanceUID)
    bundle = made_bundle.make(tmp_path / "bundle")
    told = {"PEERS": f"web={orthanc.web}", "ORTHANC": "web"}
    with hospital(tmp_path, bundle, free_port(), WATCHING, **told) as site:
        until(lambda: watched_from(site), "the watch to begin", site)
        storescu(orthanc.dicom, AE, files)
        first = sent(site, uid)
        (report,) = of_class(shown(orthanc, uid), Comprehensive3DSRStorage)
        other = made_scans.write(tmp_path / "other", "WATCHED-2")  # which is dealt with after the answer that came back
        storescu(orthanc.dicom, AE, other)
        sent(site, str(pydicom.dcmread(other[0]).StudyInstanceUID))
        answers = [row.id for row in site.rows(schema.predictions)]
        assert (len(answers), answers[0]) == (2, first.prediction_id)
        again = of_class(shown(orthanc, uid), Comprehensive3DSRStorage)
        assert [one.SOPInstanceUID for one in again] == [report.SOPInstanceUID]


def client(site: Hospital) -> DICOMwebClient:
    """A DICOMweb client that shows the key of a reviewer."""
    return DICOMwebClient(
        f"{site.live.address}/dicom-web",
        headers={"Authorization": f"Bearer {site.live.key('reviewer')}"},
    )


def watched_from(site: Hospital) -> bool:
    """Whether the node has told itself from where on it watches."""
    return bool(site.rows(schema.pacs_watched))
