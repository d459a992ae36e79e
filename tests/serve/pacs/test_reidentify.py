"""Results of a pseudonymised study get the true patient and references on the way out; what is stored stays."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ComprehensiveSRStorage, ExplicitVRLittleEndian
from sqlalchemy import Connection, Engine, select, update
from tests.scans.made_dicom import dataset
from tests.serve.pacs.pseudonymous import PSEUDONYMS, SEAL, file_of, only, rows, service_of

from insula.serve.pacs.identity import IdentityError, made
from insula.serve.pacs.received import receive
from insula.serve.pacs.reidentify import Identity, read_identity, reidentify
from insula.serve.people import projects
from insula.serve.service import Service
from insula.serve.store import patients, schema, studies
from insula.serve.store.connect import reading, writing

NUMBER = "CN-4711"
PSEUDONYM = SEAL.pseudonyms.name(NUMBER)


def stand_in(uid: str) -> str:
    return SEAL.pseudonyms.uid(uid)


@pytest.fixture
def service(records: Engine, tmp_path: Path) -> Service:
    """Records and files."""
    return service_of(records, tmp_path)


def source(number: int, **fields: str) -> Dataset:
    """One slice of a patient with letters beyond Latin."""
    made = dataset(np.full((6, 4), 1030, np.int16))
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.PatientID, made.PatientBirthDate = "Müller^Zoë=山田^花", NUMBER, "19600203"
    made.AccessionNumber, made.StudyDate, made.ReferringPhysicianName = "CNACC", "20240305", "House^Gregory"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.999.1", "1.2.999.1.1", "1.2.999.1.7"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.999.1.1.{number}")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def taken(service: Service, hidden: bool = True) -> str:
    """Two slices that came in, as a study of the records; its id."""
    for number in (1, 2):
        receive(service, file_of(source(number)), "CT1", pseudonyms=PSEUDONYMS if hidden else only(source="nobody"))
    with writing(service.records) as connection:
        project = projects.create(connection, "Inside", datetime.now(UTC)).id
        patient = patients.get_or_create(connection, project, PSEUDONYM)
        study = studies.create(connection, patient, None, "", "", {}, {})
        connection.execute(update(schema.pacs_studies).values(study_id=study, project_id=project))
    return study


def identity_of(service: Service) -> Identity:
    study = taken(service)
    with reading(service.records) as connection:
        found = read_identity(connection, SEAL, study)
    assert found is not None
    return found


def insert_made(connection: Connection, study: str, uid: str) -> None:
    """An object that was made of a prediction of a study."""
    project = connection.execute(select(schema.studies.c.project_id).where(schema.studies.c.id == study)).scalar_one()
    prediction = connection.execute(
        schema.predictions.insert()
        .values(project_id=project, study_id=study, bundle_id="b", model_name="m", action="accept", label="a",
                confidence=0.9, answer={})
        .returning(schema.predictions.c.id)
    ).scalar_one()  # fmt: skip
    connection.execute(
        schema.pacs_objects.insert().values(
            prediction_id=prediction, kind="report", study_uid=stand_in("1.2.999.1"), series_uid="2.25.301",
            sop_instance_uid=uid, sop_class_uid=str(ComprehensiveSRStorage), modality="SR", sha256="0" * 64, size=1,
        )
    )  # fmt: skip


def report(date: str) -> FileDataset:
    """A structured report as it is stored: of the pseudonym, referring to stand-ins."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ComprehensiveSRStorage, UID("2.25.100")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta)
    made.SOPClassUID, made.SOPInstanceUID, made.SeriesInstanceUID = ComprehensiveSRStorage, "2.25.100", "2.25.101"
    made.StudyInstanceUID, made.PatientName, made.PatientID = stand_in("1.2.999.1"), PSEUDONYM, PSEUDONYM
    made.StudyDate, made.ContentDate, made.AccessionNumber = date, "20260101", ""
    made.PatientIdentityRemoved, made.DeidentificationMethod = "YES", "Insula"
    slice_, request, text, day = Dataset(), Dataset(), Dataset(), Dataset()
    slice_.ReferencedSOPClassUID, slice_.ReferencedSOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.2",
        stand_in("1.2.999.1.1.2"),
    )
    request.StudyInstanceUID, request.AccessionNumber = stand_in("1.2.999.1"), ""
    text.ValueType, text.TextValue = "TEXT", f"Patient {PSEUDONYM}, frame {stand_in('1.2.999.1.7')}, no pabcdefghijk2"
    text.ReferencedSOPSequence = Sequence([slice_])
    day.ValueType, day.Date = "DATE", date
    made.ReferencedRequestSequence, made.ContentSequence = Sequence([request]), Sequence([text, day])
    other = Dataset()
    other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = ComprehensiveSRStorage, "2.25.300"
    made.PredecessorDocumentsSequence = Sequence([other])
    return made


def test_the_true_patient_study_and_references_are_in_what_is_sent(service: Service) -> None:
    identity = identity_of(service)
    (sent,) = reidentify([report("20200101")], identity)
    assert str(sent.PatientName) == "Müller^Zoë=山田^花"
    assert (sent.PatientID, sent.PatientBirthDate, sent.AccessionNumber) == (NUMBER, "19600203", "CNACC")
    assert (sent.StudyInstanceUID, sent.StudyDate, sent.ReferringPhysicianName) == (
        "1.2.999.1",
        "20240305",
        "House^Gregory",
    )
    text, day = sent.ContentSequence
    assert text.TextValue == f"Patient {NUMBER}, frame 1.2.999.1.7, no pabcdefghijk2"
    assert text.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.999.1.1.2"
    assert (day.Date, sent.ContentDate) == ("20240305", "20260101")
    (request,) = sent.ReferencedRequestSequence
    assert (request.StudyInstanceUID, request.AccessionNumber) == ("1.2.999.1", "CNACC")
    assert "PatientIdentityRemoved" not in sent
    assert "DeidentificationMethod" not in sent
    assert sent.SpecificCharacterSet == "ISO_IR 192"
    assert file_of(sent).count("山田".encode()) == 1


def test_the_stored_object_stays_as_it_was(service: Service) -> None:
    stored = report("20200101")
    before = file_of(stored)
    reidentify([stored], identity_of(service))
    assert file_of(stored) == before


def test_what_is_sent_has_uids_of_its_own_and_objects_still_refer_to_one_another(service: Service) -> None:
    identity = identity_of(service)
    first, second = report("20200101"), report("20200101")
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = UID("2.25.300")
    one, two = reidentify([first, second], identity)
    assert one.PredecessorDocumentsSequence[0].ReferencedSOPInstanceUID == two.SOPInstanceUID != "2.25.300"
    assert one.SOPInstanceUID == one.file_meta.MediaStorageSOPInstanceUID not in ("2.25.100", two.SOPInstanceUID)
    assert one.SeriesInstanceUID == two.SeriesInstanceUID != "2.25.101"
    assert reidentify([first], identity)[0].SOPInstanceUID == one.SOPInstanceUID


def test_another_object_of_the_study_keeps_its_name_when_it_is_sent_alone(service: Service) -> None:
    study = taken(service)
    with writing(service.records) as connection:
        insert_made(connection, study, "2.25.300")
    with reading(service.records) as connection:
        identity = read_identity(connection, SEAL, study)
    assert identity is not None
    (alone,) = reidentify([report("20200101")], identity)
    assert alone.PredecessorDocumentsSequence[0].ReferencedSOPInstanceUID == SEAL.pseudonyms.uid("2.25.300")


def test_pixels_are_shared_and_equal(service: Service) -> None:
    stored = report("20200101")
    stored.PixelData = bytes(range(256)) * 64
    (sent,) = reidentify([stored], identity_of(service))
    assert sent.PixelData is stored.PixelData


def test_messages_get_the_true_number_too(service: Service) -> None:
    identity = identity_of(service)
    assert (
        identity.text(f"PID|1||{PSEUDONYM}^^^X|{stand_in('1.2.999.1')}|2.25.7")
        == f"PID|1||{NUMBER}^^^X|1.2.999.1|2.25.7"
    )
    assert NUMBER not in repr(identity)
    assert "ller" not in repr(identity)


def test_a_study_that_came_as_it_was_has_no_identity(service: Service) -> None:
    study = taken(service, hidden=False)
    with reading(service.records) as connection:
        assert read_identity(connection, None, study) is None


def test_without_the_key_and_with_another_one_nothing_is_sent_wrongly(service: Service) -> None:
    study = taken(service)
    with reading(service.records) as connection:
        with pytest.raises(IdentityError, match="is not set"):
            read_identity(connection, None, study)
        with pytest.raises(IdentityError, match="another key"):
            read_identity(connection, made("j" * 40), study)


def test_identities_of_two_studies_cannot_be_exchanged(service: Service) -> None:
    study = taken(service)
    other = source(1, StudyInstanceUID="1.2.999.2", SeriesInstanceUID="1.2.999.2.1", SOPInstanceUID="1.2.999.2.1.1")
    receive(service, file_of(other), "CT1", pseudonyms=PSEUDONYMS)
    first, second = rows(service.records, "pacs_studies")
    with writing(service.records) as connection:
        this = schema.pacs_studies.c.id == first["id"]
        connection.execute(update(schema.pacs_studies).where(this).values(identity=second["identity"]))
    with reading(service.records) as connection, pytest.raises(IdentityError, match="has been changed"):
        read_identity(connection, SEAL, study)


def test_each_of_joined_studies_gets_its_own_number_and_date(service: Service) -> None:
    study = taken(service)
    later = {"StudyInstanceUID": "1.2.999.2", "SeriesInstanceUID": "1.2.999.2.1", "SOPInstanceUID": "1.2.999.2.1.1"}
    other = source(1, **later, AccessionNumber="SECOND", StudyDate="20240801")
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    receive(service, file_of(other), "CT1", pseudonyms=PSEUDONYMS)
    with writing(service.records) as connection:
        connection.execute(update(schema.pacs_studies).values(study_id=study))
    with reading(service.records) as connection:
        identity = read_identity(connection, SEAL, study)
    assert identity is not None
    second, strange = report("20200101"), report("20200101")
    second.StudyInstanceUID, strange.StudyInstanceUID = stand_in("1.2.999.2"), "1.2.3"
    one, two, three = reidentify([report("20200101"), second, strange], identity)
    assert (one.StudyInstanceUID, one.AccessionNumber, one.StudyDate) == ("1.2.999.1", "CNACC", "20240305")
    assert (two.StudyInstanceUID, two.AccessionNumber, two.StudyDate) == ("1.2.999.2", "SECOND", "20240801")
    assert two.ContentSequence[1].Date == "20240801"
    assert (three.StudyInstanceUID, three.StudyDate, three.AccessionNumber) == ("1.2.3", "20200101", "")
    assert three.PatientIdentityRemoved == "YES"
