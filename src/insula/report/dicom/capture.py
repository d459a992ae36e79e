"""Secondary captures: slices with the heat over them and "RESEARCH USE ONLY" burnt in (PS3.3 A.8.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from highdicom import CoordinateSystemNames
from highdicom.sc import SCImage
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from insula.evaluate.outcome import LIMITS
from insula.infer.heatmap import NOT_PRESENT
from insula.report.dicom import codes, common, header, places, text
from insula.report.dicom.drawing import drawn, factor
from insula.report.dicom.result import Heat, Result

_ANY: Final = ("L", "P")  # taken back where the slice does not say how it lies


def captures(result: Result, source: header.Source, heat: Heat, order: int) -> Iterator[FileDataset]:
    """One object for each slice that is captured, in one series; none for a series without pictures.

    order: of this heat among all of the result.
    """
    if source.series.picture is None:
        return
    series = common.Series("capture", heat.role, heat.finding, order)
    known = header.frames(source.headers)
    for instance, number in enumerate(sorted(set(source.series.captured)), 1):
        one, frame = known[number]
        towards = places.directions(one, frame)
        spacing = header.geometry(one, frame, "PixelSpacing")
        picture = np.ascontiguousarray(source.series.picture(number), np.uint8)
        said = f"Slice {number + 1} of {len(known)}"
        pixels, _ = drawn(picture, heat.plane(number), heat, towards, said)
        times = factor(*picture.shape[:2])
        made = SCImage(
            pixel_array=pixels,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system=CoordinateSystemNames.PATIENT,
            study_instance_uid=one.StudyInstanceUID,
            patient_orientation=towards or _ANY,
            pixel_spacing=None if spacing is None else (float(spacing[0]) / times, float(spacing[1]) / times),
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **common.named(result, series, common.told(heat, f"heat {heat.finding}"), instance),
        )
        yield _described(made, result, source, heat, (one, frame))


def _described(
    made: Dataset, result: Result, source: header.Source, heat: Heat, of: tuple[Dataset, int | None]
) -> FileDataset:
    one, frame = of
    for keyword, value in header.sided(one).items():
        setattr(made, keyword, value)
    if places.directions(one, frame) is None:
        made.PatientOrientation = None
    made.ImageType = ["DERIVED", "SECONDARY", "OVERLAY"]
    made.BurnedInAnnotation = str(one.get("BurnedInAnnotation", "") or "NO")  # the burnt words name no patient
    made.LossyImageCompression = str(one.get("LossyImageCompression", "") or "00")
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if made.LossyImageCompression == "01" and keyword in one:
            made.add(one[keyword])
    finding = text.printable(heat.finding) + ("" if heat.present else NOT_PRESENT)
    made.DerivationDescription = f"Evidence for {finding} ({heat.unit}) drawn over the source image"[:1024]
    made.ImageComments = text.printable(f"{codes.LIMITS.meaning}: {LIMITS} {finding}")[:10240]
    made.SourceImageSequence = [_source(one, frame)]
    return common.finished(made, result, source, own_terms=False)


def _source(one: Dataset, frame: int | None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
    if frame is not None:
        item.ReferencedFrameNumber = frame
    item.PurposeOfReferenceCodeSequence = [codes.item(codes.SOURCE)]
    return item
