"""What a cleaned file says of its own cleaning (PS3.15, E.1.1; PS3.3, C.12.1 and C.7.1.1)."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from insula import __version__
from insula.cohort.deidentify.profile import BASIC, CLEAN_PIXELS, OPTIONS, Option
from insula.cohort.deidentify.values import value_of

_PREFIX = "1131"


def mark(dataset: Dataset, options: frozenset[str], pixels_checked: bool) -> None:
    """Set the attributes that say by which profile and options a dataset was cleaned.

    pixels_checked: the picture was searched for text and shows none any more. Codes of an earlier cleaning stay.
    """
    used: list[Option] = [BASIC, *([CLEAN_PIXELS] if pixels_checked else [])]
    used += [option for name, option in OPTIONS.items() if name in options]
    earlier = _earlier(dataset)
    codes = sorted({option.code for option in used} | earlier)
    known = {option.code: option.meaning for option in (BASIC, CLEAN_PIXELS, *OPTIONS.values())}
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = f"Insula {__version__}: DICOM PS3.15 table E.1-1, edition 2026c"
    dataset.DeidentificationMethodCodeSequence = Sequence(_code(code, known[code]) for code in codes if code in known)
    dataset.LongitudinalTemporalInformationModified = (
        "MODIFIED" if "shifted-dates" in options else "UNMODIFIED" if "full-dates" in options else "REMOVED"
    )
    if pixels_checked:
        dataset.BurnedInAnnotation = "NO"


def meta(dataset: Dataset, syntax: str) -> FileMetaDataset:
    """A file meta group that holds nothing of the old one but the kinds of object and of encoding."""
    made = FileMetaDataset()
    made.MediaStorageSOPClassUID = UID(str(dataset.get("SOPClassUID") or SecondaryCaptureImageStorage))
    made.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID")
    made.TransferSyntaxUID = UID(syntax)
    made.ImplementationVersionName = f"INSULA {__version__}"[:16]
    return made


def syntax(dataset: Dataset) -> str:
    """The transfer syntax of a parsed file; of one without a meta group, by how it was found to be encoded."""
    group = getattr(dataset, "file_meta", None)
    named = str(group.get("TransferSyntaxUID") or "") if group is not None else ""
    if named:
        return named
    implicit, little = dataset.original_encoding
    if not little and implicit is False:
        return str(ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)


def _earlier(dataset: Dataset) -> set[str]:
    items = value_of(dataset, "DeidentificationMethodCodeSequence")
    found = {
        str(value_of(item, "CodeValue"))
        for item in (items if isinstance(items, Sequence) else ())
        if value_of(item, "CodingSchemeDesignator") == "DCM"
    }
    return {code for code in found if code.startswith(_PREFIX)}


def _code(value: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, "DCM", meaning
    return made
