"""Where slices lie: which of them make one stack of planes, and which way their rows and columns run in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from highdicom import PixelMeasuresSequence
from pydicom.dataset import Dataset
from pydicom.uid import UID

from insula.report.dicom import header

_ALIKE: Final = 1e-3  # of a direction cosine, and of a millimetre: as exact as headers write them
_AXES: Final = (("L", "R"), ("P", "A"), ("H", "F"))  # along x, y, z of the patient, and against (PS3.3 C.7.6.1.1.1)


def stack(headers: Sequence[Dataset]) -> tuple[int, ...]:
    """The slices that an object of many frames may hold: alike in size, spacing and direction, each at its own place.

    () where that is not so, and where the headers do not say it. Of slices at the same place the first is kept.
    """
    if not all(header.place(one) for one in headers):
        return ()
    if "PerFrameFunctionalGroupsSequence" in headers[0]:
        return tuple(range(len(header.frames(headers)))) if len(headers) == 1 else ()
    first = headers[0]
    size = (first.get("Rows"), first.get("Columns"), first.FrameOfReferenceUID, first.SeriesInstanceUID)
    found: dict[tuple[float, ...], int] = {}
    for number, one in enumerate(headers):
        if (one.get("Rows"), one.get("Columns"), one.FrameOfReferenceUID, one.SeriesInstanceUID) != size:
            return ()
        alike = _near(one.ImageOrientationPatient, first.ImageOrientationPatient)
        if not alike or not _near(one.PixelSpacing, first.PixelSpacing):
            return ()
        found.setdefault(tuple(np.round(np.asarray(one.ImagePositionPatient, float) / _ALIKE)), number)
    return tuple(found.values())


def images(source: header.Source, numbers: Sequence[int]) -> list[Dataset]:
    """The headers of slices as highdicom's constructors take them, all of which have to have a thickness."""
    if len(source.headers) == 1:
        return list(source.headers)
    thick, found = thickness(source, numbers), []
    for number in numbers:
        one = Dataset()
        one.update(source.headers[number])  # a copy, where `copy` and `Dataset(…)` share their elements
        one.SliceThickness = thick
        found.append(one)
    return found


def measures(source: header.Source, numbers: Sequence[int], shrink: int = 1) -> PixelMeasuresSequence:
    """How far pixels lie apart and how thick the slices are; shrink: pixels along a side that one stands for."""
    one, frame = header.frames(source.headers)[numbers[0]]
    rows, columns = (float(mm) * shrink for mm in header.geometry(one, frame, "PixelSpacing"))
    return PixelMeasuresSequence((rows, columns), thickness(source, numbers))


def thickness(source: header.Source, numbers: Sequence[int]) -> float:
    """How thick slices are: as the headers say, else the step to the next one, else as wide as a pixel (mm)."""
    slices = header.frames(source.headers)
    known = [slices[number] for number in numbers]
    said = header.geometry(*known[0], "SliceThickness")
    if said is not None and float(said) > 0:
        return float(said)
    cosines = np.asarray(header.geometry(*known[0], "ImageOrientationPatient"), float)
    normal = np.cross(cosines[:3], cosines[3:])
    heights = sorted(float(normal @ np.asarray(header.geometry(*one, "ImagePositionPatient"), float)) for one in known)
    steps = [b - a for a, b in pairwise(heights) if b - a > _ALIKE]
    return round(min(steps), 4) if steps else float(header.geometry(*known[0], "PixelSpacing")[0])


def framed(made: Dataset, source: header.Source, name: UID) -> None:
    """Mend an object of many frames: the part of the body, and the organisation of its dimensions.

    Its series has no side, whatever the part (PS3.3 C.7.3.1). name: of the organisation, the same whenever it is made.
    """
    if "BodyPartExamined" in source.first:
        made.BodyPartExamined = source.first.BodyPartExamined
    made.ContentCreatorName = None  # type 2: nobody but the program made it
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = name
    for item in made.get("DimensionIndexSequence", ()):
        item.DimensionOrganizationUID = name


def directions(one: Dataset, frame: int | None = None) -> tuple[str, str] | None:
    """Towards what of the patient a picture's rows and columns run (`L`, `P`), None where the header does not say."""
    cosines = header.geometry(one, frame, "ImageOrientationPatient")
    if cosines is None:
        return None
    return _towards(cosines[:3]), _towards(cosines[3:])


def opposite(letter: str) -> str:
    """The other end of an axis: `R` for `L`."""
    return next(b if letter == a else a for a, b in _AXES if letter in (a, b))


def _towards(cosines: Sequence[float]) -> str:
    values = np.asarray(cosines, float)
    axis = int(np.abs(values).argmax())
    return _AXES[axis][0 if values[axis] > 0 else 1]


def _near(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and bool(np.allclose(np.asarray(a, float), np.asarray(b, float), rtol=0, atol=_ALIKE))
