"""What an object takes over from the headers of its study: patient, study, place, and nothing that is not needed.

Values that are none (a date with dots, a sex in words) are left out instead of being handed on; who the patient is
stands as it was sent. Everything is Unicode from here on, whatever character set the headers came in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from insula.report.dicom import codes
from insula.report.dicom.result import SourceSeries

UTF8: Final = "ISO_IR 192"

_WHO: Final = (  # PS3.3 C.7.1.1, C.7.2.1, C.7.2.2: what tells the patient and the study from others
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDsSequence",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence", "StudyInstanceUID",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight",
    "TimezoneOffsetFromUTC",
)  # fmt: skip
_WHERE: Final = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "BodyPartExamined", "Laterality",
    "FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition", "PatientOrientation", "Rows", "Columns",
    "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "SliceThickness", "SpacingBetweenSlices",
    "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "BurnedInAnnotation",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
_MACHINE: Final = (
    "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "StationName",
    "InstitutionName", "InstitutionalDepartmentName", "SeriesDate", "SeriesTime", "AcquisitionDate",
    "AcquisitionTime", "ContentDate", "ContentTime",
)  # fmt: skip
_EMPTY: Final = (  # type 2: there, if with nothing in it
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_SOUND: Final = {  # PS3.5, 6.2
    "DA": re.compile(r"\d{8}"),
    "TM": re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9 _]{1,16}"),
    "UI": re.compile(r"[0-9.]{1,64}"),
}
_COUNTS: Final = {"PixelSpacing": 2, "ImageOrientationPatient": 6, "ImagePositionPatient": 3, "SliceThickness": 1}
_MACROS: Final = {  # PS3.3 C.7.6.16.2
    "PixelSpacing": "PixelMeasuresSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "SliceThickness": "PixelMeasuresSequence",
}
_UNSAID: Final = "not stated in the headers of the study"
_SEXES: Final = ("M", "F", "O")
_UNPAIRED: Final = ("HEAD", "BRAIN", "SKULL", "HEADNECK", "NECK", "CSPINE")  # parts that have no side (PS3.3 C.7.3.1)


@dataclass(frozen=True, eq=False)
class Source:
    """One series as the writers use it. headers: cleaned, and without names. who: whose study it is, for all of them.

    Names are kept apart until an object is done, for highdicom warns of some, and warnings end in logs.
    """

    series: SourceSeries
    headers: tuple[Dataset, ...]
    who: Dataset

    @property
    def first(self) -> Dataset:
        """The first header."""
        return self.headers[0]


def source(series: SourceSeries) -> Source:
    """The part of a series' headers that objects are made of."""
    who = _taken(series.headers[0], _WHO)
    told = "DeidentificationMethod" in who or "DeidentificationMethodCodeSequence" in who
    if who.get("PatientIdentityRemoved") == "YES" and not told:
        who.DeidentificationMethod = _UNSAID  # one of the two has to be there (PS3.3 C.7.1.1, type 1C)
    return Source(series, tuple(_cleaned(one) for one in series.headers), who)


def _cleaned(header: Dataset) -> Dataset:
    found = _taken(header, (*_WHO, *_WHERE, *_MACHINE))
    for keyword in _EMPTY:
        if keyword not in found or dictionary_VR(keyword) == "PN":
            setattr(found, keyword, None)
    return found


def _taken(header: Dataset, keywords: Sequence[str]) -> Dataset:
    found = Dataset()
    for keyword in keywords:
        value = _value(header, keyword)
        if value is not None:
            found.add(DataElement(tag_for_keyword(keyword) or 0, dictionary_VR(keyword), value))
    return found


def sided(found: Dataset) -> dict[str, str]:
    """What the series of a result says of the body part: as the source does.

    A part that may be one of a pair has its side, empty where the source does not say it (PS3.3 C.7.3.1, type 2C).
    """
    part = str(found.get("BodyPartExamined", "") or "")
    said = {"BodyPartExamined": part} if part else {}
    if part.replace(" ", "") in _UNPAIRED:
        return said
    side = str(found.get("Laterality", "") or "")
    return said | {"Laterality": side if side in ("L", "R") else ""}


def anatomy(found: Dataset) -> Dataset:
    """The region of the body that frames show, an item of the Frame Anatomy Sequence (PS3.3 C.7.6.16.2.8)."""
    made = Dataset()
    side = str(found.get("Laterality", "") or "")
    made.FrameLaterality = side if side in ("L", "R") else "U"
    part = str(found.get("BodyPartExamined", "") or "").replace(" ", "")
    made.AnatomicRegionSequence = [codes.item(codes.region(part))]
    return made


def place(found: Dataset) -> bool:
    """Whether the header says where its slices lie in the patient."""
    if "PerFrameFunctionalGroupsSequence" in found:
        return "FrameOfReferenceUID" in found and "SharedFunctionalGroupsSequence" in found
    needed = ("FrameOfReferenceUID", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient")
    return all(keyword in found for keyword in needed)


def frames(headers: Sequence[Dataset]) -> list[tuple[Dataset, int | None]]:
    """Each slice's header, and the number of its frame, from 1, where the header has several."""
    if len(headers) == 1 and int(headers[0].get("NumberOfFrames", 1) or 1) > 1:
        return [(headers[0], number) for number in range(1, int(headers[0].NumberOfFrames) + 1)]
    return [(one, None) for one in headers]


def geometry(one: Dataset, frame: int | None, keyword: str) -> Any:
    """What a header says of one slice's geometry (`_MACROS`), in itself or in its functional groups; None for nothing.

    frame: its number from 1 in a header of several.
    """
    macro = _MACROS[keyword]
    groups = [one]
    if frame is not None:
        per_frame, shared = one.get("PerFrameFunctionalGroupsSequence"), one.get("SharedFunctionalGroupsSequence")
        groups += [per_frame[frame - 1]] if per_frame and len(per_frame) >= frame else []
        groups += list(shared or ())
    for group in (*groups, *(item for each in groups for item in each.get(macro, None) or ())):
        if keyword in group and _numbers(group[keyword].value, _COUNTS[keyword]):
            return group[keyword].value
    return None


def _value(header: Dataset, keyword: str) -> Any:
    """The value of an attribute, None where there is none and where what is there is none of its kind."""
    try:
        value: Any = header[keyword].value if keyword in header else None
    except (ValueError, TypeError, NotImplementedError):  # pydicom refuses it
        return None
    kind = dictionary_VR(keyword)
    if value is None or value == "":
        return None
    if kind == "SQ":
        return [_unicode(item) for item in value]
    if kind == "PN":
        return PersonName(str(value))  # forgets the bytes and the character set that it came in
    if keyword in _COUNTS:
        return value if _numbers(value, _COUNTS[keyword]) else None
    if kind in _SOUND:
        text = str(value).strip()
        if keyword == "PatientSex" and text not in _SEXES:
            return None
        return text if _SOUND[kind].fullmatch(text) else None
    return value


def _unicode(item: Dataset) -> Dataset:
    """A copy of an item with its texts read; one that nobody has read yet would be written as the bytes it came in."""
    found = Dataset()
    for element in item:
        value: Any = element.value
        if element.VR == "SQ":
            value = [_unicode(one) for one in value]
        elif element.VR == "PN" and element.VM == 1:
            value = PersonName(str(value))
        found.add_new(element.tag, element.VR, value)
    return found


def _numbers(value: Any, count: int) -> bool:
    values = [value] if count == 1 else list(value) if isinstance(value, Sequence) else []
    try:
        return len(values) == count and all(math.isfinite(float(one)) for one in values)
    except (TypeError, ValueError):
        return False
