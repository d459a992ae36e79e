"""Objects that a rule stores under pseudonyms: nothing else of the patient is kept, in files, records or messages."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydantic import SecretStr
from pydicom.dataset import Dataset
from pydicom.uid import UID, EncapsulatedPDFStorage, SecondaryCaptureImageStorage
from sqlalchemy import Engine
from tests.cohort.deidentify import canaries
from tests.scans.made_dicom import dataset
from tests.serve.pacs.pseudonymous import HIDE, PSEUDONYMS, SEAL, everything, file_of, only, rows, service_of

from insula.core.errors import UsageError
from insula.serve.pacs import received
from insula.serve.pacs.identity import IdentityError, made
from insula.serve.pacs.pseudonymise import Pseudonyms, facts_of_series, pseudonyms_of
from insula.serve.pacs.received import RefusedInstanceError, receive
from insula.serve.pacs.rules import Rules, SeriesFacts, When
from insula.serve.pacs.settings import PacsSettings
from insula.serve.service import Service


@pytest.fixture
def service(records: Engine, tmp_path: Path) -> Service:
    """Records and files."""
    return service_of(records, tmp_path)


def image(number: int = 1, **fields: Any) -> Dataset:
    """One CT slice of a patient, with what names them."""
    made = dataset(np.full((6, 4), 1030, np.int16))
    made.PatientName, made.PatientID = "Canary^Jane", "CN-4711"
    made.AccessionNumber, made.PatientBirthDate, made.StudyDate = "CNACC", "19600203", "20240305"
    made.StudyDescription, made.SeriesDescription = "CT head of Canary", "Axial 3 mm"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.999.1", "1.2.999.1.1"
    made.FrameOfReferenceUID, made.InstanceNumber = "1.2.999.1.7", number
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.999.1.1.{number}")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def stored(service: Service, sha256: str) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(service.files.get(sha256)))


def test_nothing_of_any_attribute_is_in_files_records_or_logs(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    file, known = canaries.made()
    path = tmp_path / "in" / "one.dcm"
    canaries.write(path, file)
    with caplog.at_level(logging.DEBUG):
        assert receive(service, path.read_bytes(), "CT1", pseudonyms=PSEUDONYMS).state == "kept"
    out = capfd.readouterr()
    files = b"".join(one.read_bytes() for one in (tmp_path / "files").rglob("*") if one.is_file())
    seen = files + everything(service.records) + caplog.text.encode() + out.out.encode() + out.err.encode()
    assert len(seen) > 10_000
    left = {name for name, value in known.found_by.items() if value in seen}
    assert {"EthnicGroup", "PatientWeight"} & left  # the canaries can be found
    assert left <= kept_on_purpose()


def kept_on_purpose() -> set[str]:
    """Attributes that the options keep: times of day, and what is said of the patient without a name."""
    kept = {"nested EthnicGroup"}
    for rule in canaries.listed():
        time_of_day = "shifted-dates" in rule.options and canaries.vr_of(rule) == "TM"
        if time_of_day or rule.options.get("retain-patient") == "K":
            kept.add(rule.keyword or rule.tag)
    return kept


def test_the_same_patient_gets_the_same_stand_ins(service: Service) -> None:
    for number in (1, 2):
        receipt = receive(service, file_of(image(number)), "CT1", pseudonyms=PSEUDONYMS)
        assert (receipt.sop_instance_uid, receipt.study_uid) == (f"1.2.999.1.1.{number}", "1.2.999.1")
    (study,), (series,), instances = (rows(service.records, f"pacs_{t}") for t in ("studies", "series", "instances"))
    assert study["study_uid"] == SEAL.pseudonyms.uid("1.2.999.1")
    assert series["series_uid"] == SEAL.pseudonyms.uid("1.2.999.1.1")
    assert study["description"] == "CT head of"
    files = [stored(service, one["sha256"]) for one in instances]
    assert {str(one.PatientID) for one in files} == {SEAL.pseudonyms.name("CN-4711")}
    assert {str(one.SOPInstanceUID) for one in files} == {one["sop_instance_uid"] for one in instances}
    assert {str(one.FrameOfReferenceUID) for one in files} == {SEAL.pseudonyms.uid("1.2.999.1.7")}
    assert [bytes(one.PixelData) for one in files] == [image(n).PixelData for n in (1, 2)]


def test_a_repeat_is_one_and_another_object_under_its_uid_is_refused(service: Service) -> None:
    receive(service, file_of(image()), "CT1", pseudonyms=PSEUDONYMS)
    assert receive(service, file_of(image()), "CT1", pseudonyms=PSEUDONYMS).state == "again"
    with pytest.raises(RefusedInstanceError) as refused:
        receive(service, file_of(image(PatientName="Other^Jane")), "CT1", pseudonyms=PSEUDONYMS)
    assert refused.value.status == received.DUPLICATE
    assert len(rows(service.records, "pacs_instances")) == 1


def test_the_digest_of_the_original_is_not_kept(service: Service) -> None:
    data = file_of(image())
    receive(service, data, "CT1", pseudonyms=PSEUDONYMS)
    (row,) = rows(service.records, "pacs_instances")
    start = 144 + int(pydicom.dcmread(io.BytesIO(data)).file_meta.FileMetaInformationGroupLength)
    digests = {hashlib.sha256(data).hexdigest(), hashlib.sha256(data[start:]).hexdigest()}
    assert digests.isdisjoint({row["content"], row["sha256"]})


def test_a_rule_without_pseudonyms_stores_the_object_as_it_came(service: Service) -> None:
    pseudonyms = only(series_description="research*")
    receive(service, file_of(image()), "CT1", pseudonyms=pseudonyms)
    (study,) = rows(service.records, "pacs_studies")
    assert (study["study_uid"], study["identity"]) == ("1.2.999.1", None)


def test_what_no_rule_takes_is_stored_under_pseudonyms_where_any_rule_asks_for_them(service: Service) -> None:
    rule = HIDE.rules[0].model_copy(update={"when": When(modality="MR")})
    receive(service, file_of(image()), "CT1", pseudonyms=Pseudonyms(Rules(rules=(rule,)), SEAL))
    assert rows(service.records, "pacs_studies")[0]["identity"]


def test_without_a_key_nothing_is_stored(service: Service, tmp_path: Path) -> None:
    with pytest.raises(RefusedInstanceError, match="INSULA_PACS_IDENTITY_KEY"):
        receive(service, file_of(image()), "CT1", pseudonyms=Pseudonyms(HIDE, None))
    assert rows(service.records, "pacs_instances") == []
    assert [one for one in (tmp_path / "files").rglob("*") if one.is_file()] == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"SOPClassUID": SecondaryCaptureImageStorage, "ImageType": ["DERIVED", "SECONDARY"]}, "may show writing"),
        ({"BurnedInAnnotation": "YES"}, "may show writing"),
        ({"Modality": "US"}, "may show writing"),
    ],
)
def test_pictures_that_may_show_a_name_are_refused(service: Service, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(RefusedInstanceError, match=why) as refused:
        receive(service, file_of(image(**fields)), "CT1", pseudonyms=PSEUDONYMS)
    assert refused.value.status == received.CANNOT_UNDERSTAND
    assert "CN" not in str(refused.value)
    assert rows(service.records, "pacs_studies") == []


def test_a_document_is_refused(service: Service) -> None:
    document = image(SOPClassUID=EncapsulatedPDFStorage, Modality="DOC", EncapsulatedDocument=b"%PDF Canary ")
    del document.PixelData
    document.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    with pytest.raises(RefusedInstanceError, match="encapsulated document"):
        receive(service, file_of(document), "CT1", pseudonyms=PSEUDONYMS)


def test_rules_go_by_what_the_sender_said(service: Service) -> None:
    receive(service, file_of(image()), "CT1", pseudonyms=PSEUDONYMS)
    (row,) = rows(service.records, "pacs_series")
    stored_facts = SeriesFacts(row["source"], row["modality"], row["body_part"], "CT head", row["description"])
    found = facts_of_series(row["series_uid"], row["identity"], stored_facts, SEAL)
    assert found.study_description == "CT head of Canary"
    assert facts_of_series(row["series_uid"], None, stored_facts, None) == stored_facts
    with pytest.raises(IdentityError):
        facts_of_series(row["series_uid"], row["identity"], stored_facts, made("j" * 40))
    with pytest.raises(IdentityError):
        facts_of_series(row["series_uid"], row["identity"], stored_facts, None)


def test_a_study_that_others_sent_under_its_stand_ins_is_known_once_it_comes_itself(service: Service) -> None:
    stand_in = SEAL.pseudonyms.uid("1.2.999.1")
    receive(service, file_of(image(StudyInstanceUID=stand_in)), "PC", pseudonyms=only(source="CT1"))
    receive(service, file_of(image(2)), "CT1", pseudonyms=only(source="CT1"))
    (study,) = rows(service.records, "pacs_studies")
    assert study["study_uid"] == stand_in
    assert SEAL.open(study["identity"], f"study\0{stand_in}")["uid"] == "1.2.999.1"


def test_settings_that_ask_for_pseudonyms_need_a_key(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - {name: one, project: P, pseudonymise: true}\n")
    with pytest.raises(UsageError, match="INSULA_PACS_IDENTITY_KEY is not set"):
        pseudonyms_of(PacsSettings(rules=path))
    found = pseudonyms_of(PacsSettings(rules=path, identity_key=SecretStr("k" * 32)))
    assert found.asked(SeriesFacts("any", "CT"))
    assert found.names("1.2") == ("1.2", made("k" * 32).pseudonyms.uid("1.2"))
    assert pseudonyms_of(PacsSettings()).names("1.2") == ("1.2",)
