"""What all objects of an answer have in common: UIDs, series, equipment, times."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final, get_args

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from insula.report.case.record import CaseReport
from insula.report.dicom import codes, header, text
from insula.report.dicom.result import Heat, Object, Result
from insula.scans.write import made_uid

MAKER: Final = "Insula"
_CLASS: Final = made_uid("implementation class", MAKER)
_REVIEWED: Final = ("report", "pdf")  # what a review changes
_FIRST: Final = 90_000  # series numbers from here on: behind those of the scanner


@dataclass(frozen=True)
class Series:
    """One series of objects: what it is, which series it was made from, and its number in the study."""

    kind: Object
    source: str = ""
    finding: str = ""
    order: int = 0


def uid(result: Result, series: Series, *more: object) -> UID:
    """A UID that the same result always gives for the same object; without `more` that of its series."""
    review = result.review_id if series.kind in _REVIEWED else ""
    return made_uid("result", result.id, review, series.kind, series.source, text.printable(series.finding), *more)


def named(result: Result, series: Series, said: str, instance: int = 1) -> dict[str, Any]:
    """The arguments of highdicom's constructors that say which object this is and what made it."""
    model = result.report.model
    return {
        "series_instance_uid": uid(result, series),
        "series_number": number(result, series),
        "sop_instance_uid": uid(result, series, instance),
        "instance_number": instance,
        "manufacturer": MAKER,
        "manufacturer_model_name": text.long(model.name) or MAKER,
        "software_versions": text.long(model.insula) or "–",
        "device_serial_number": text.long(model.bundle_id) or "–",
        "series_description": text.described(model.name, said),
        "specific_character_set": header.UTF8,
    }


def told(heat: Heat, said: str) -> str:
    """What an object of a heat map is called; the word that the finding is not there comes first, and is never cut."""
    return said if heat.present else f"not present: {said}"


def number(result: Result, series: Series) -> int:
    """The series' number: that of one answer lie together, and two answers seldom at the same place."""
    block = int(hashlib.sha256(result.id.encode()).hexdigest(), 16) % 1000
    kind = get_args(Object).index(series.kind)
    return _FIRST + block * 100 + kind * 20 + series.order % 20


def finished(made: Dataset, result: Result, source: header.Source, own_terms: bool = True) -> FileDataset:
    """The object as a file: whose study it is, its times those of the answer, and the program as what wrote it."""
    for element in source.who:
        made.add(element)
    at = moment(result.report.made_at, source)
    for keyword, value in (("InstanceCreationDate", f"{at:%Y%m%d}"), ("InstanceCreationTime", f"{at:%H%M%S}")):
        setattr(made, keyword, value)
    for day, hour in (("ContentDate", "ContentTime"), ("DateOfSecondaryCapture", "TimeOfSecondaryCapture")):
        if day in made:
            setattr(made, day, f"{at:%Y%m%d}")
            setattr(made, hour, f"{at:%H%M%S}")
    made.SeriesDate, made.SeriesTime = f"{at:%Y%m%d}", f"{at:%H%M%S}"
    for equipment in made.get("ContributingEquipmentSequence", ())[-1:]:
        equipment.ContributionDateTime = f"{at:%Y%m%d%H%M%S}"  # highdicom's own, which would say when it ran
    made.SpecificCharacterSet = header.UTF8
    if own_terms:
        made.CodingSchemeIdentificationSequence = Sequence([codes.scheme()])
    meta = made.file_meta
    meta.ImplementationClassUID = _CLASS
    meta.ImplementationVersionName = text.short(f"INSULA {result.report.model.insula}")
    return FileDataset("", made, file_meta=meta, preamble=b"\0" * 128)


def verified(report: CaseReport) -> bool:
    """Whether a reader who is named stands for what the report says."""
    return report.review is not None and report.decided and bool(text.person(*report.review.name_parts))


def moment(at: datetime, source: header.Source) -> datetime:
    """An instant in the time zone of the study: that of its headers, else that of this machine (PS3.3 C.12.1.1.8)."""
    said = str(source.who.get("TimezoneOffsetFromUTC", "") or "")
    try:
        sign = -1 if said[0] == "-" else 1
        offset = timedelta(hours=int(said[1:3]), minutes=int(said[3:5]))
        return at.astimezone(timezone(sign * offset))
    except (IndexError, ValueError):
        return at.astimezone()
