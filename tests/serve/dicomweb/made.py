"""What the tests of DICOMweb share: a service with rules, results as if they had been made, messages of parts."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from tests.serve.api.made import Made, clear, service
from tests.tiny_bundle import make

from insula.serve.store import schema
from insula.serve.store.connect import writing

RULES = """
rules:
  - {name: of others, when: {study_description: 'others*'}, project: Outside}
  - {name: heads, when: {modality: CT}, project: Inside, model: tiny-ct}
"""
START = "20261126080000"


@contextmanager
def with_rules(folder: Path, address: str, text: str = RULES, **more: Any) -> Iterator[Made]:
    """A service over a tiny bundle, with rules for what comes in."""
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    clear(address)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSULA_PACS_RULES", str(folder / "rules.yaml"))
        with service(make(folder, unit="series"), address, folder, **more) as made:
            yield made


def message(parts: Sequence[bytes], kind: str = "application/dicom") -> dict[str, Any]:
    """Body and headers of a message of several parts, as a client of HTTP takes them."""
    body = b"".join(b"--frontier\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + one + b"\r\n" for one in parts)
    return {
        "content": body + b"--frontier--",
        "headers": {"Content-Type": f'multipart/related; type="{kind}"; boundary=frontier'},
    }


def result(made: Made, prediction: str, study: str, number: int = 1, **more: Any) -> FileDataset:
    """A result that is kept as if it had been made of a prediction; more: attributes, or columns of its row."""
    columns = {name: more.pop(name) for name in ("review_id",) if name in more}
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SpecificCharacterSet = "ISO_IR 192"
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID = study, more.pop("series", generate_uid())
    one.PatientName, one.PatientID, one.StudyDate, one.AccessionNumber = "Öz^Ayşe", "P-1", "20260102", "A-7"
    one.PatientBirthDate = one.PatientSex = one.StudyTime = one.StudyID = one.ReferringPhysicianName = ""
    one.Modality, one.SeriesNumber, one.InstanceNumber = "OT", number, 1
    one.Rows = one.Columns = 4
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 8
    one.HighBit, one.PixelRepresentation = 7, 0
    one.PixelData = bytes(range(16))
    for name, value in more.items():
        setattr(one, name, value)
    stream = io.BytesIO()
    one.save_as(stream, enforce_file_format=True)
    stored = made.service.files.put(io.BytesIO(stream.getvalue()), 1 << 20)
    with writing(made.service.records) as connection:
        connection.execute(
            schema.pacs_objects.insert().values(
                prediction_id=prediction,
                kind="capture",
                study_uid=one.StudyInstanceUID,
                series_uid=one.SeriesInstanceUID,
                sop_instance_uid=one.SOPInstanceUID,
                sop_class_uid=one.SOPClassUID,
                modality=one.Modality,
                sha256=stored.sha256,
                size=stored.size,
                **columns,
            )
        )
    return one


def study(description: str = "head", uid: str = "", **more: Any) -> bytes:
    """One slice of a study of its own."""
    from tests.serve.client import dicom

    one = pydicom.dcmread(io.BytesIO(dicom(**more)))
    one.StudyInstanceUID, one.StudyDescription = uid or generate_uid(), description
    stream = io.BytesIO()
    one.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def workitem(**changes: Any) -> dict[str, Any]:
    """A work item as somebody orders one; changes: attributes by tag (`t00741200=…`), None to leave one out."""
    plain: dict[str, Any] = {
        "00741200": {"vr": "CS", "Value": ["MEDIUM"]},
        "00741204": {"vr": "LO", "Value": ["Find bleeding"]},
        "00741202": {"vr": "LO", "Value": ["Inside"]},
        "00404005": {"vr": "DT", "Value": [START]},
        "00404041": {"vr": "CS", "Value": ["READY"]},
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00100020": {"vr": "LO", "Value": ["P-1"]},
        "00404018": {"vr": "SQ", "Value": [code("HEADS", "99SITE", "Bleeding in the head")]},
    }
    plain |= {name.removeprefix("t"): value for name, value in changes.items()}
    return {tag: told for tag, told in plain.items() if told is not None}


def code(value: str, scheme: str, meaning: str) -> dict[str, Any]:
    """An item of a code sequence."""
    return {
        "00080100": {"vr": "SH", "Value": [value]},
        "00080102": {"vr": "SH", "Value": [scheme]},
        "00080104": {"vr": "LO", "Value": [meaning]},
    }


def values(item: Mapping[str, Any], tag: str) -> list[Any]:
    """An attribute's values, none where it is absent or empty."""
    found: list[Any] = item.get(tag, {}).get("Value", [])
    return found
