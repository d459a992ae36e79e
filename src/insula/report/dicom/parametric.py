"""The heat as a parametric map: uint16 with the real-world value that each number stands for (PS3.3 A.75)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from highdicom import CoordinateSystemNames, PlanePositionSequence, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from insula.core.types import FloatArray
from insula.infer.heatmap import CLASS_MAP
from insula.report.dicom import codes, common, header, places, text
from insula.report.dicom.result import Heat, Result

_MOST: Final = 65535
_MOST_PIXELS: Final = 64 << 20  # of all frames together, 128 MiB


def parametric(result: Result, source: header.Source, heat: Heat, order: int) -> FileDataset | None:
    """The heat of all slices on their own pixels; None where there is none above 0, and for slices that are no stack.

    Heat below 0 is stored as 0, so that what is not warm is black in any viewer.
    """
    kept = places.stack(source.headers)
    peak = max((float(_warm(heat, number).max(initial=0.0)) for number in kept), default=0.0)
    if peak <= 0:
        return None
    shrink = _shrink(len(kept), source)
    pixels = np.empty((len(kept), int(source.first.Rows) // shrink, int(source.first.Columns) // shrink), np.uint16)
    for place, number in enumerate(kept):
        pixels[place] = _stored(_warm(heat, number), shrink, peak)
    meaning = codes.CLASS_ACTIVATION if heat.unit == CLASS_MAP else codes.SALIENCY
    series = common.Series("map", heat.role, heat.finding, order)
    made = ParametricMap(
        source_images=places.images(source, kept),
        pixel_array=pixels,
        pixel_measures=places.measures(source, kept, shrink),
        plane_positions=_middles(source, kept, shrink),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            RealWorldValueMapping(
                lut_label=(text.short(heat.finding) if heat.present else "") or "HEAT",
                lut_explanation=text.long(common.told(heat, f"{heat.unit}, evidence for {heat.finding}")),
                unit=codes.ONE,
                value_range=(0, _MOST),
                slope=peak / _MOST,
                intercept=0.0,
                quantity_definition=meaning,
            )
        ],
        voi_lut_transformations=[VOILUTTransformation(window_center=_MOST / 2, window_width=_MOST)],
        content_label="HEAT",
        content_description=text.long(common.told(heat, f"evidence for {heat.finding}")),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **common.named(result, series, common.told(heat, f"heat map {heat.finding}")),
    )
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [header.anatomy(source.first)]
    places.framed(made, source, common.uid(result, series, "dimensions"))
    return common.finished(made, result, source, own_terms=False)


def _shrink(slices: int, source: header.Source) -> int:
    """By how much rows and columns are thinned out, 1 for not at all, so that long series take bounded memory.

    Heat is made of cells far coarser than pixels, so that little of it goes.
    """
    shrink = 1
    while slices * (int(source.first.Rows) // shrink) * (int(source.first.Columns) // shrink) > _MOST_PIXELS:
        shrink *= 2
    return shrink


def _stored(warm: FloatArray, shrink: int, peak: float) -> NDArray[np.uint16]:
    """The numbers that stand for heat: means of `shrink` × `shrink` pixels."""
    high, wide = (size // shrink for size in warm.shape)
    cells = warm[: high * shrink, : wide * shrink].reshape(high, shrink, wide, shrink).mean(axis=(1, 3))
    stored: NDArray[np.uint16] = np.rint(np.minimum(cells * (_MOST / peak), _MOST)).astype(np.uint16)
    return stored


def _middles(source: header.Source, kept: Sequence[int], shrink: int) -> list[PlanePositionSequence] | None:
    """Where pixels lie that stand for several each: in the middle of these. None for those of the slices themselves."""
    if shrink == 1:
        return None
    known, found = header.frames(source.headers), []
    for number in kept:
        rows, columns = (float(mm) for mm in header.geometry(*known[number], "PixelSpacing"))
        cosines = np.asarray(header.geometry(*known[number], "ImageOrientationPatient"), float)
        corner = np.asarray(header.geometry(*known[number], "ImagePositionPatient"), float)
        middle = corner + (shrink - 1) / 2 * (cosines[:3] * columns + cosines[3:] * rows)
        found.append(PlanePositionSequence(CoordinateSystemNames.PATIENT, [float(mm) for mm in middle]))
    return found


def _warm(heat: Heat, number: int) -> FloatArray:
    """The heat of a slice that speaks for the class; what is no number counts as none."""
    plane = np.nan_to_num(np.asarray(heat.plane(number), np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return np.maximum(plane, np.float32(0.0))
