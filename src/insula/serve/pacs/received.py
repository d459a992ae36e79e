"""The one way in which an object from the network gets into the records, however it was sent.

When `receive` returns, the object is on the disk and in the database; only then may it be acknowledged.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any, Final, Literal

import pydicom
from pydicom.uid import UID
from sqlalchemy import Connection, select, update

from insula.core.errors import ScanError
from insula.serve.pacs.rules import SeriesFacts
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import writing
from insula.serve.store.patients import insert_if_new

# statuses of a C-STORE response (PS3.4 Annex B.2.3, PS3.7 Annex C)
CANNOT_UNDERSTAND: Final = 0xC000
NOT_ITS_CLASS: Final = 0xA900
NO_RESOURCES: Final = 0xA700
DUPLICATE: Final = 0x0111


class RefusedInstanceError(ScanError):
    """An object that is not taken. status: of the C-STORE response."""

    code = "refused_instance"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Receipt:
    """What became of an object. state: `kept`, or `again` where the same one was there already."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    state: Literal["kept", "again"]


def receive(service: Service, data: bytes, source: str, most_bytes: int = 512 << 20) -> Receipt:
    """Keep one DICOM file (PS3.10). source: who sent it, an AE title, the name of a peer or of an account.

    Raises RefusedInstanceError for what is no DICOM object, names no valid UIDs, is too long, or comes under the UID of
    another object. The same object again is no error.
    """
    if len(data) > most_bytes:
        raise RefusedInstanceError(NO_RESOURCES, f"The object has {len(data)} bytes; at most {most_bytes} are taken.")
    dataset = _headers(data)
    stored = service.files.put(io.BytesIO(data), most_bytes)
    content = hashlib.sha256(data[_start(dataset) :]).hexdigest()
    with writing(service.records) as connection:
        return _record(connection, dataset, source, stored.sha256, stored.size, content)


def facts_of(dataset: pydicom.Dataset, source: str) -> SeriesFacts:
    """What rules look at, out of an object's headers."""
    return SeriesFacts(
        source,
        _text(dataset, "Modality", 16),
        _text(dataset, "BodyPartExamined", 64),
        _text(dataset, "StudyDescription", 64),
        _text(dataset, "SeriesDescription", 64),
    )


def _headers(data: bytes) -> pydicom.FileDataset:
    try:
        found = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        names = [found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID, found.SOPClassUID]
        sound = all(UID(name).is_valid for name in names) and found.file_meta.TransferSyntaxUID.is_transfer_syntax
    except Exception as error:  # a parser of hostile bytes raises many kinds
        raise RefusedInstanceError(CANNOT_UNDERSTAND, "The object is no DICOM data set with its four UIDs.") from error
    if not sound:
        raise RefusedInstanceError(CANNOT_UNDERSTAND, "The object's UIDs are not valid ones.")
    return found


def _start(dataset: pydicom.FileDataset) -> int:
    """Where the data set begins behind preamble and file meta information."""
    length: Any = dataset.file_meta.get("FileMetaInformationGroupLength")
    return 144 + int(length or 0)


def _record(
    connection: Connection, dataset: pydicom.Dataset, source: str, sha256: str, size: int, content: str
) -> Receipt:
    study_uid, uid = str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID)
    facts = facts_of(dataset, source)
    there = schema.pacs_instances.c
    before = connection.execute(select(there.content).where(there.sop_instance_uid == uid)).scalar()
    if before is not None and before != content:
        raise RefusedInstanceError(DUPLICATE, "Another object came under this SOP Instance UID before.")
    receipt = Receipt(str(dataset.SOPClassUID), uid, study_uid, "kept" if before is None else "again")
    if before is not None:
        return receipt
    insert_if_new(
        connection, schema.pacs_studies, study_uid=study_uid, source=source[:64], description=facts.study_description
    )
    studies, series = schema.pacs_studies.c, schema.pacs_series.c
    study = connection.execute(select(studies.id).where(studies.study_uid == study_uid)).scalar_one()
    insert_if_new(
        connection,
        schema.pacs_series,
        pacs_study_id=study,
        series_uid=str(dataset.SeriesInstanceUID),
        source=source[:64],
        modality=facts.modality,
        body_part=facts.body_part,
        description=facts.series_description,
    )
    these = (series.pacs_study_id == study, series.series_uid == str(dataset.SeriesInstanceUID))
    connection.execute(
        schema.pacs_instances.insert().values(
            pacs_series_id=connection.execute(select(series.id).where(*these)).scalar_one(),
            sop_instance_uid=uid,
            sop_class_uid=receipt.sop_class_uid,
            transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
            sha256=sha256,
            content=content,
            size=size,
        )
    )
    changed = update(schema.pacs_studies).where(studies.id == study)
    connection.execute(changed.values(last_at=schema.now(), state="receiving"))
    return receipt


def _text(dataset: pydicom.Dataset, keyword: str, longest: int) -> str:
    value = str(dataset.get(keyword, "") or "")
    return "".join(c for c in value if c.isprintable())[:longest]
