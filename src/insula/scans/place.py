"""Where the slices of a stack lie in the patient, by geometry alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SAME_PLACE = 0.01  # mm; positions are written with fewer decimals than they were computed with
_TILT = 0.5  # degrees; below it the shear over a whole head stays under one voxel
_UNEVEN = 0.1  # mm


@dataclass(frozen=True)
class Placement:
    """order: indices of the slices to keep, sorted along the normal. affine: voxel (x, y, z) → mm LPS, sheared where
    the gantry was tilted. repeated: how many slices stood where another one stands. warnings: for the Volume.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64]
    repeated: int
    warnings: tuple[str, ...]


def place(
    positions: Sequence[tuple[float, float, float]],
    orientation: Sequence[float],
    spacing: tuple[float, float],
    thickness: float | None = None,
) -> Placement:
    """Order slices by their position along the normal of the image plane (DICOM PS3.3, C.7.6.2.1.1).

    positions: (n, 3) mm; orientation: cosines of a row and of a column; spacing: between rows, between columns, in mm;
    thickness: the step of a single slice. Of several slices in one place the first given is kept.
    """
    points = np.asarray(positions, dtype=np.float64)
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    normal = np.cross(row, column)
    along = points @ normal
    order: list[int] = []
    for index in np.argsort(along, kind="stable"):
        if not order or along[index] - along[order[-1]] > _SAME_PLACE:
            order.append(int(index))
    kept = points[order]
    step = (kept[-1] - kept[0]) / (len(kept) - 1) if len(kept) > 1 else normal * (thickness or 1.0)
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[1]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = kept[0]
    return Placement(tuple(order), affine, len(points) - len(order), _warnings(along[order], step, normal))


def _warnings(along: NDArray[np.float64], step: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple[str, ...]:
    found = []
    angle = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1.0, 1.0))))
    if angle > _TILT:
        found.append(f"gantry tilt {angle:.1f} degrees")
    gaps = np.diff(along)
    if len(gaps) > 1 and gaps.max() - gaps.min() > max(_UNEVEN, 0.01 * float(np.median(gaps))):
        found.append(f"uneven slice gaps {gaps.min():.1f} to {gaps.max():.1f} mm")
    return tuple(found)
