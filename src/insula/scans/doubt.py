"""What a header says of a scan's place that cannot be so: told with its value, and apart from what is absent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insula.scans import attributes
from insula.scans.regrid import UPRIGHT

if TYPE_CHECKING:  # pydicom takes half a second to come, and not everybody who reads a NIfTI file has use for it
    from pydicom.dataset import Dataset

DOUBT = "doubtful header: "
SMALLEST_MM, LARGEST_MM = 1e-4, 2000.0  # microscopes and scouts, whose slice is as thick as the body, lie within
FARTHEST_MM = 1e5  # of the first voxel from the origin
_SKEW = 0.5  # degrees; as little as rounding leaves, and as the tilt of a gantry that is not said
_GANTRY = 35.0  # degrees; scanners tilt by up to 30
_LONGEST = 90
_NUMBERS = re.compile(r"(?:[-+0-9.eE\\ ]|nan|inf)+", re.IGNORECASE)
_LENGTH = f"from {SMALLEST_MM:g} to {LARGEST_MM:g} mm"
_RULES = {
    "PixelSpacing": f"is no pair of lengths {_LENGTH}",
    "ImageOrientationPatient": "is no pair of perpendicular unit vectors",
    "ImagePositionPatient": "is no point of three coordinates",
    "SliceThickness": f"is no length {_LENGTH}",
}


def is_doubt(warning: str) -> bool:
    """Whether a reader's warning says that the file's own geometry is not to be trusted."""
    return warning.startswith(DOUBT)


def lengths(values: Sequence[float] | None) -> tuple[float, ...] | None:
    """Voxel sizes in mm, None where one of them is no size that a voxel can have."""
    if values is None or not all(SMALLEST_MM <= v <= LARGEST_MM for v in values):
        return None
    return tuple(values)


def unusable(place: Dataset, name: str) -> str:
    """A warning for a DICOM attribute that is there and cannot be used, "" where it is absent or empty.

    Text in place of numbers is not repeated: it may name a patient.
    """
    said = attributes.text(place, name)
    if not said:
        return ""
    short = said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."
    value = f"'{short}'" if _NUMBERS.fullmatch(said) else "(text instead of numbers)"
    return f"{DOUBT}{name} {value} {_RULES[name]}"


def of_affine(affine: NDArray[np.float64]) -> tuple[str, ...]:
    """Warnings for axes that are not at right angles, and for an origin that no scan has.

    affine: (4, 4), voxel → mm, invertible. Slices that lean as under a tilted gantry are a note and no doubt.
    """
    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.clip(np.abs(unit.T @ unit), 0.0, 1.0)
    plane, *slices = (float(np.degrees(np.arcsin(cosines[a, b]))) for a, b in ((0, 1), (0, 2), (1, 2)))
    worst = max(plane, *slices)
    said = []
    if worst > _SKEW:
        way = "`untilt` sets them upright" if min(plane, *slices) <= UPRIGHT else "resample it to upright axes"
        if plane <= UPRIGHT and worst <= _GANTRY:
            said.append(f"slices lean by {worst:.1f} degrees, as under a tilted gantry")
        else:
            said.append(f"{DOUBT}the axes are {worst:.1f} degrees from right angles; {way}")
    if (far := float(np.abs(affine[:3, 3]).max())) > FARTHEST_MM:
        said.append(f"{DOUBT}the first voxel lies {far:.3g} mm from the origin")
    return tuple(said)
