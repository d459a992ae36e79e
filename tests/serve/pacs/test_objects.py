"""The objects of a prediction: which there are, once made always the same, and what a review and a rejection change."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore

import pytest
from pypdf import PdfReader
from sqlalchemy import delete, select
from tests.serve.api.made import Made
from tests.serve.client import png
from tests.serve.pacs.sending import NAME, predicted, read, rejecting, reviewed, warm

from insula.scans.write import made_uid
from insula.serve.faults import RequestError
from insula.serve.pacs import gathered, objects
from insula.serve.pacs.objects import KINDS, objects_of
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.in_use import in_use

pytestmark = pytest.mark.serve


def test_all_kinds_lie_in_the_patients_study(made: Made) -> None:
    answer = predicted(made, "OBJ-1")
    found = objects_of(made.service, answer["id"], KINDS)
    assert {one.kind for one in found} == set(KINDS)
    for one in found:
        made_of = read(made, one)
        assert made_of.StudyInstanceUID == one.study_uid == made_uid("study of", "OBJ-1")
        assert (str(made_of.PatientName), made_of.PatientID) == (NAME, "OBJ-1")
        assert made_of.SOPInstanceUID == one.sop_instance_uid
        assert made_of.SeriesInstanceUID == one.series_uid != made_uid("series of", "OBJ-1")
    (heat,) = (read(made, one) for one in found if one.kind == "map")
    assert heat.FrameOfReferenceUID == made_uid("frame of", "OBJ-1")
    assert (heat.Rows, heat.Columns, heat.NumberOfFrames) == (24, 24, 4)
    captures = [read(made, one) for one in found if one.kind == "capture"]
    assert captures
    assert sum(warm(one) for one in captures) > 0


def test_what_was_made_is_not_made_again(made: Made) -> None:
    answer = predicted(made, "OBJ-2")
    first = objects_of(made.service, answer["id"], KINDS[:1])
    more = objects_of(made.service, answer["id"], ("report", "capture"))
    assert {one.kind for one in more} == {"report", "capture"}
    assert first[0] in more
    assert objects_of(made.service, answer["id"], ("capture", "report")) == more


def test_several_that_make_them_at_once_get_the_same(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = predicted(made, "OBJ-3")
    monkeypatch.setattr(objects, "_turn", BoundedSemaphore(4))  # as in processes of their own
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: objects_of(made.service, answer["id"], ("report", "capture")), range(3)))
    assert found[0] == found[1] == found[2]
    with reading(made.service.records) as connection:
        here = schema.pacs_objects.c.prediction_id == answer["id"]
        assert len(connection.execute(select(schema.pacs_objects).where(here)).all()) == len(found[0])


def test_the_same_prediction_gives_the_same_uids_when_they_are_made_anew(made: Made) -> None:
    answer = predicted(made, "OBJ-4")
    first = objects_of(made.service, answer["id"], KINDS)
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.pacs_objects).where(schema.pacs_objects.c.prediction_id == answer["id"]))
    again = objects_of(made.service, answer["id"], KINDS)
    assert [one.sop_instance_uid for one in again] == [one.sop_instance_uid for one in first]


def test_a_review_makes_a_new_report_and_no_second_set_of_pictures(made: Made) -> None:
    answer = predicted(made, "OBJ-5")
    before = {one.kind: one for one in objects_of(made.service, answer["id"], ("report", "map"))}
    review = reviewed(made, answer)
    after = {one.kind: one for one in objects_of(made.service, answer["id"], ("report", "map"), review)}
    assert after["map"] == before["map"]
    assert (before["report"].review_id, after["report"].review_id) == (None, review)
    assert after["report"].sop_instance_uid != before["report"].sop_instance_uid
    old, new = read(made, before["report"]), read(made, after["report"])
    assert (old.VerificationFlag, new.VerificationFlag) == ("UNVERIFIED", "VERIFIED")
    superseded = new.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert superseded.ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert "Dr. Ayşe 王" in str(new)
    assert {one.kind: one for one in objects_of(made.service, answer["id"], ("report", "map"))} == before


def test_a_later_review_takes_the_place_of_the_earlier_one(made: Made) -> None:
    answer = predicted(made, "OBJ-6")
    first = reviewed(made, answer)
    second = reviewed(made, answer, verdict="cannot_tell")
    with reading(made.service.records) as connection:
        assert gathered.newest(connection, answer["study_id"], first) == second
        assert gathered.newest(connection, answer["study_id"], None) is None
        with pytest.raises(RequestError) as refused:
            gathered.newest(connection, answer["study_id"], "0" * 32)
    assert refused.value.status == 404


def test_a_rejected_case_gives_a_report_and_a_paper_and_no_picture(made: Made) -> None:
    answer = predicted(made, "OBJ-7")
    with rejecting(made, answer["id"]):
        found = objects_of(made.service, answer["id"], KINDS)
        assert {one.kind for one in found} == {"report", "pdf"}
        text = read(made, next(one for one in found if one.kind == "report")).to_json()
    assert "the scan is no head" in text
    assert all(f'"{name}"' not in text for name in answer["answer"]["probabilities"])


def test_heat_of_what_the_model_does_not_call_present_is_said_to_be(made: Made) -> None:
    answer = predicted(made, "OBJ-12")
    table = schema.predictions
    with writing(made.service.records) as connection:
        connection.execute(table.update().where(table.c.id == answer["id"]).values(label="another"))
    found = objects_of(made.service, answer["id"], KINDS)
    assert {one.kind for one in found} == set(KINDS) - {"region"}
    for one in found:
        if one.kind in ("capture", "map"):
            assert ": not present: heat" in read(made, one).SeriesDescription


def test_scans_that_are_no_dicom_have_no_study_to_go_to(made: Made) -> None:
    form = {"project": made.inside, "patient": "OBJ-8"}
    client = made.client("reviewer")
    study = client.post("/api/v1/studies", data=form, files=[("files", ("a.png", png()))]).json()
    answer = predicted(made, "OBJ-9")
    with writing(made.service.records) as connection:
        this = schema.predictions.c.id == answer["id"]
        connection.execute(schema.predictions.update().where(this).values(study_id=study["id"]))
    with pytest.raises(RequestError) as refused:
        objects_of(made.service, answer["id"], KINDS[:1])
    assert (refused.value.status, refused.value.fault_code) == (409, "no_dicom")


def test_files_that_came_after_the_prediction_are_none_of_its_sources(made: Made) -> None:
    answer = predicted(made, "OBJ-10")
    other = predicted(made, "OBJ-10")  # the same patient and series, sent a second time
    with writing(made.service.records) as connection:
        these = schema.files.c.study_id == other["study_id"]
        later = schema.now()
        moved = schema.files.update().where(these)
        connection.execute(moved.values(study_id=answer["study_id"], created_at=later))
    with reading(made.service.records) as connection:
        found = gathered.gather(connection, made.service, answer["id"], None, pictures=False)
    assert len(found.files) == 4


def test_objects_are_in_use_until_their_prediction_is_erased(made: Made) -> None:
    answer = predicted(made, "OBJ-11")
    hashes = [one.sha256 for one in objects_of(made.service, answer["id"], ("report", "capture"))]
    with reading(made.service.records) as connection:
        assert in_use(connection, hashes) == set(hashes)
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.predictions).where(schema.predictions.c.id == answer["id"]))
    with reading(made.service.records) as connection:
        assert in_use(connection, hashes) == frozenset()


def test_the_paper_names_the_patient_of_the_scans(made: Made) -> None:
    answer = predicted(made, "OBJ-12")
    with writing(made.service.records) as connection:  # as one who came first under that number is called
        this = schema.patients.c.key == "OBJ-12"
        connection.execute(schema.patients.update().where(this).values(name="Doe, Jane"))
    (kept,) = objects_of(made.service, answer["id"], ["pdf"])
    paper = PdfReader(io.BytesIO(read(made, kept).EncapsulatedDocument))
    text = " ".join(page.extract_text() for page in paper.pages)
    assert "Öztürk Işıl" in text
    assert "Jane" not in text
