"""The image library of a report (PS3.16 TID 1600): which slices the answer rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    UIDRefContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code

from insula.report.dicom import codes, header

_SOURCE: Final = Code("260753009", "SCT", "Source")
_PIXELS: Final = Code("{pixels}", "UCUM", "Pixels")
_COSINE: Final = Code("{-1:1}", "UCUM", "{-1:1}")
_ACQUIRED: Final = "HAS ACQ CONTEXT"
_ORIENTATION: Final = (
    standard.DCM.ImageOrientationPatientRowX,
    standard.DCM.ImageOrientationPatientRowY,
    standard.DCM.ImageOrientationPatientRowZ,
    standard.DCM.ImageOrientationPatientColumnX,
    standard.DCM.ImageOrientationPatientColumnY,
    standard.DCM.ImageOrientationPatientColumnZ,
)


def library(series: Sequence[Sequence[Dataset]]) -> ContainerContentItem:
    """One group for each series, with what its slices have in common (TID 1602), and each of them (TID 1601).

    Where each lies its own header says; here it would hide the rest of the report. series: cleaned headers of each.
    """
    whole = ContainerContentItem(standard.DCM.ImageLibrary, template_id="1600", relationship_type="CONTAINS")
    whole.ContentSequence = ContentSequence([_group(headers) for headers in series])
    return whole


def _group(headers: Sequence[Dataset]) -> ContainerContentItem:
    group = ContainerContentItem(standard.DCM.ImageLibraryGroup, relationship_type="CONTAINS")
    group.ContentSequence = ContentSequence([*_common(headers), *(_entry(one) for one in headers)])
    return group


def _common(headers: Sequence[Dataset]) -> Iterator[ContentItem]:
    first = headers[0]
    modality = codes.MODALITIES.get(str(first.get("Modality", "")), codes.MODALITIES["OT"])
    yield CodeContentItem(standard.DCM.Modality, modality, _ACQUIRED)
    if "FrameOfReferenceUID" in first:
        yield UIDRefContentItem(standard.DCM.FrameOfReferenceUID, str(first.FrameOfReferenceUID), _ACQUIRED)
    if len({(one.get("Rows"), one.get("Columns")) for one in headers}) == 1 and first.get("Rows"):
        yield _number(standard.DCM.PixelDataRows, int(first.Rows), _PIXELS)
        yield _number(standard.DCM.PixelDataColumns, int(first.Columns), _PIXELS)
    if not all(header.place(one) and "ImagePositionPatient" in one for one in headers):
        return
    if len({tuple(one.PixelSpacing) for one in headers}) == 1:
        yield _number(standard.DCM.HorizontalPixelSpacing, float(first.PixelSpacing[1]), standard.UCUM.Millimeter)
        yield _number(standard.DCM.VerticalPixelSpacing, float(first.PixelSpacing[0]), standard.UCUM.Millimeter)
    if len({one.get("SliceThickness") for one in headers}) == 1 and first.get("SliceThickness") is not None:
        yield _number(standard.DCM.SliceThickness, float(first.SliceThickness), standard.UCUM.Millimeter)
    if len({tuple(one.ImageOrientationPatient) for one in headers}) == 1:
        for name, cosine in zip(_ORIENTATION, first.ImageOrientationPatient, strict=True):
            yield _number(name, float(cosine), _COSINE)


def _entry(one: Dataset) -> ImageContentItem:
    return ImageContentItem(_SOURCE, one.SOPClassUID, one.SOPInstanceUID, relationship_type="CONTAINS")


def _number(name: Code, value: float, unit: Code) -> NumContentItem:
    return NumContentItem(name, value, unit, relationship_type=_ACQUIRED)
