"""Where the slices of a stack lie in the patient, by geometry alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import ScanError
from insula.scans import mixed
from insula.scans.doubt import LARGEST_MM

_SAME_PLACE = 0.01  # mm; positions are written with fewer decimals than they were computed with
_TILT = 0.5  # degrees; below it the shear over a whole head stays under one voxel
_UNEVEN = 0.1  # mm
_ASIDE = 0.5  # mm that a slice may stand beside the straight line of the others before it is said
_REPEATED = 0.1  # share of all gaps that makes a gap a usual one
_ALIKE = 0.05  # relative difference of two gaps that are the same gap
# what interpolation may fill, whichever is more; a gap that the slices themselves are thick enough to cover is no hole
MOST_FILLED_MM, MOST_FILLED_STEPS = 10.0, 3
_FEW = 0.2  # share of the gaps that may be wide before wide gaps are how the scan was planned
_ON_A_SLICE = 0.01  # of a step
_MOST_SLICES = 4  # times as many as there were


@dataclass(frozen=True)
class Placement:
    """order: indices of the slices to keep, sorted along the normal. affine: voxel (x, y, z) → mm LPS, sheared where
    the gantry was tilted. repeated: how many slices stood where another one stands. warnings: for the Volume.
    grid: for each slice of the even grid that the affine describes its place among the kept slices, counted from 0
    and fractional between two of them; None where the kept slices are even already.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64]
    repeated: int
    warnings: tuple[str, ...]
    grid: NDArray[np.float64] | None = None


def place(
    positions: Sequence[tuple[float, float, float]],
    orientation: Sequence[float],
    spacing: tuple[float, float],
    thickness: float | None = None,
) -> Placement:
    """Order slices by their position along the normal of the image plane (DICOM PS3.3, C.7.6.2.1.1).

    positions: (n, 3) mm; orientation: cosines of a row and of a column; spacing: between rows, between columns, in mm;
    thickness: of the slices in mm, and the step of a single one. Of several slices in one place the first given is
    kept. Uneven gaps give a `grid` at the smallest usual gap, from the first slice to the last. Raises ScanError for a
    gap that is wider than both limits above and than the slices cover, since what lies in it is not known, and for
    slices farther apart than any voxel is long.
    """
    points = np.asarray(positions, dtype=np.float64)
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    normal = np.cross(row, column)
    along = points @ normal
    order: list[int] = []
    for index in np.argsort(along, kind="stable"):
        if not order or along[index] - along[order[-1]] > _SAME_PLACE:
            order.append(int(index))
    kept, height = points[order], along[order]
    count = len(kept)
    grid, notes = _grid(height, thickness)
    if grid is not None:
        count = len(grid)
    step = (kept[-1] - kept[0]) / (count - 1) if count > 1 else normal * (thickness or 1.0)
    if (apart := float(np.linalg.norm(step))) > LARGEST_MM:
        raise ScanError(
            f"The series claims slices {apart:.4g} mm apart, more than the {LARGEST_MM:g} mm that a voxel may measure; "
            "its positions are damaged, export it again."
        )
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[1]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = kept[0]
    thin = mixed.unseen(apart, thickness) if count > 1 and grid is None else ()
    warnings = (*_tilt(step, normal), *_beside(kept, height), *notes, *thin)
    return Placement(tuple(order), affine, len(points) - len(order), warnings, grid)


def _tilt(step: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple[str, ...]:
    angle = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1.0, 1.0))))
    return (f"gantry tilt {angle:.1f} degrees",) if angle > _TILT else ()


def _beside(kept: NDArray[np.float64], height: NDArray[np.float64]) -> tuple[str, ...]:
    """Slices that do not stand on one straight line, which no affine can say."""
    if len(kept) < 3:
        return ()
    line = kept[0] + np.outer((height - height[0]) / (height[-1] - height[0]), kept[-1] - kept[0])
    most = float(np.linalg.norm(kept - line, axis=1).max())
    return (f"slices stand up to {most:.1f} mm beside the line from first to last",) if most > _ASIDE else ()


def _grid(height: NDArray[np.float64], thickness: float | None) -> tuple[NDArray[np.float64] | None, list[str]]:
    """An even grid over uneven slices, and what to say of it."""
    gaps = np.diff(height)
    if len(gaps) < 2 or gaps.max() - gaps.min() <= max(_UNEVEN, 0.01 * median(gaps.tolist())):
        return None, []
    step = max(_usual(gaps), float(height[-1] - height[0]) / (_MOST_SLICES * len(gaps)))
    missing = _missing(gaps, step, thickness)
    widest = float(gaps.max())
    covered = thickness is not None and widest <= mixed.COVERED * thickness
    if widest > max(MOST_FILLED_MM, MOST_FILLED_STEPS * step) + _UNEVEN and not covered:
        what = f" ({_slices(missing)} missing)" if missing else ""
        raise ScanError(
            f"The series has a gap of {widest:.1f} mm between slices {step:.1f} mm apart{what}; gaps up to "
            f"{max(MOST_FILLED_MM, MOST_FILLED_STEPS * step):.1f} mm are filled, so give the complete series."
        )
    steps = max(1, ceil((height[-1] - height[0]) / step - _ALIKE))
    targets = np.linspace(height[0], height[-1], steps + 1)
    grid = np.interp(targets, height, np.arange(len(height), dtype=np.float64))
    whole = np.round(grid)
    grid = np.where(np.abs(grid - whole) < _ON_A_SLICE, whole, grid)  # a real slice stays as it was measured
    if missing:
        return grid, [f"{_slices(missing)} missing in gaps up to {widest:.1f} mm, filled by interpolation"]
    made = float(targets[1] - targets[0])
    said = (
        f"uneven slice gaps {gaps.min():.1f} to {widest:.1f} mm, resampled to {made:.1f} mm "
        f"({len(height)} slices became {len(grid)})"
    )
    return grid, [said]


def _usual(gaps: NDArray[np.float64]) -> float:
    """The smallest gap that is repeated, else the smallest; one odd gap between two evenly spaced parts is neither."""
    for gap in np.sort(gaps):
        alike = gaps[(gaps >= gap) & (gaps <= gap * (1 + _ALIKE))]
        if len(alike) >= max(2, _REPEATED * len(gaps)):
            return float(alike.mean())
    return float(gaps.min())


def _missing(gaps: NDArray[np.float64], step: float, thickness: float | None) -> int:
    """How many slices of an even series are absent, 0 where its gaps are no whole numbers of steps or wide by plan."""
    steps = gaps / step
    whole = np.round(steps)
    wide = whole > 1
    if np.abs(steps - whole).max() > 2 * _ALIKE or wide.sum() > max(1.0, _FEW * len(gaps)):
        return 0
    if thickness is not None and step * whole.max() <= mixed.COVERED * thickness:
        return 0
    return int((whole - 1).sum())


def _slices(count: int) -> str:
    return f"{count} slice{'s' if count > 1 else ''}"
