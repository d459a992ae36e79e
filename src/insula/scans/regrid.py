"""Volumes on another grid: even slices out of uneven ones, upright ones out of tilted ones, another voxel size.

Every function here keeps a value at its place in the patient: where voxels move, the affine moves with them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import ScanError
from insula.core.types import Volume
from insula.scans import limits
from insula.scans.limits import LIMITS, Limits

_AIR = -1024.0  # what lies beyond the picture in HU
UPRIGHT = 0.01  # degrees of shear that are left alone
_SAME = 1e-6  # relative change of a voxel size that changes nothing


def between(array: NDArray[np.float32], grid: NDArray[np.float64]) -> NDArray[np.float32]:
    """Slices at fractional places along Z, each the linear mixture of its two neighbours.

    array: (C, Z, Y, X); grid: places counted in slices from 0 to Z - 1. Returns (C, len(grid), Y, X) float32.
    """
    out = np.empty((array.shape[0], len(grid), *array.shape[2:]), np.float32)
    low = np.clip(np.floor(grid + 1e-9), 0, array.shape[1] - 1).astype(int)
    high = np.minimum(low + 1, array.shape[1] - 1)
    share = np.clip(grid - low, 0.0, 1.0).astype(np.float32)
    for k, (under, over, part) in enumerate(zip(low, high, share, strict=True)):
        if part == 0.0:
            out[:, k] = array[:, under]
        else:
            out[:, k] = array[:, under] * (1 - part) + array[:, over] * part
    return out


def untilt(volume: Volume) -> Volume:
    """A sheared volume (a tilted gantry) on an orthogonal grid, by moving each slice within its own plane.

    The slices stay where they are and as far apart along their normal as they were; rows and columns are moved by
    linear interpolation, and the picture grows so that nothing is cut off. What was outside is air (-1024) in HU, else
    the smallest value of the volume. A volume that is orthogonal already is returned as it is. Raises ScanError when no
    two axes are perpendicular, LimitError when the result asks for too much.
    """
    axis = _sheared(volume.affine[:3, :3])
    if axis is None:
        return volume
    array, affine = _to_last(volume, axis)
    sides = affine[:3, :2]
    lengths = np.linalg.norm(sides, axis=0)
    lean = (sides / lengths).T @ affine[:3, 2] / lengths  # pixels that each slice stands beside the one before it
    depth = array.shape[1]
    shifts = np.outer(np.arange(depth), lean)
    first = np.floor(shifts.min(axis=0) + 1e-6)
    grown = np.ceil(shifts.max(axis=0) - 1e-6) - first
    width, height = array.shape[3] + int(grown[0]), array.shape[2] + int(grown[1])
    limits.shape((array.shape[0], depth, height, width), "the untilted volume", LIMITS)
    outside = _AIR if volume.units == "HU" else float(array.min())
    out = np.empty((array.shape[0], depth, height, width), np.float32)
    for k in range(depth):
        across, down = np.maximum(shifts[k] - first, 0.0)
        for c in range(array.shape[0]):
            out[c, k] = _moved(array[c, k], float(across), float(down), (height, width), outside)
    upright = affine.copy()
    upright[:3, 2] -= affine[:3, :2] @ lean
    upright[:3, 3] += affine[:3, :2] @ first
    out, upright = _from_last(out, upright, axis)
    return replace(volume, array=out, affine=upright, warnings=(*volume.warnings, "tilt removed by resampling"))


def resample(volume: Volume, spacing_mm: tuple[float, float, float], allowed: Limits = LIMITS) -> Volume:
    """A volume with voxels of another size (x, y, z in mm), over the same extent from edge to edge.

    Larger voxels are the mean over their own extent of the straight lines between the old values, so nothing is
    skipped and the mean of the volume stays; smaller ones are read off those lines. Beyond the outermost voxel centres
    the outermost values go on. Raises ScanError for a size that is not above 0, LimitError for too large a result.
    """
    if len(spacing_mm) != 3 or not np.isfinite(spacing_mm).all() or min(spacing_mm) <= 0:
        raise ScanError(f"A voxel size of {tuple(spacing_mm)} mm is none; give three lengths above 0, as 1 1 5.")
    counts: list[int] = []
    for axis, (old, new) in enumerate(zip(volume.spacing, spacing_mm, strict=True)):
        n = volume.array.shape[3 - axis]
        counts.append(n if abs(new / old - 1) < _SAME else max(1, round(n * old / new)))
    limits.shape((volume.array.shape[0], *counts[::-1]), "the resampled volume", allowed)
    array, affine = volume.array, volume.affine.copy()
    for axis in sorted(range(3), key=lambda a: counts[a] / volume.array.shape[3 - a]):  # what shrinks comes first
        n, factor = volume.array.shape[3 - axis], spacing_mm[axis] / volume.spacing[axis]
        if abs(factor - 1) < _SAME:
            continue
        start = ((n - 1) - (counts[axis] - 1) * factor) / 2  # both grids share their middle
        weights = _weights(n, start + factor * np.arange(counts[axis]), factor)
        array = np.moveaxis(np.tensordot(weights, array, axes=(1, 3 - axis)), 0, 3 - axis)
        affine[:3, 3] += affine[:3, axis] * start
        affine[:3, axis] *= factor
    return replace(volume, array=np.ascontiguousarray(array, dtype=np.float32), affine=affine)


def _weights(count: int, centres: NDArray[np.float64], width: float) -> NDArray[np.float32]:
    """What each old value gives to each new one (new, old): the integral of linear interpolation over a voxel.

    A voxel no wider than an old one takes the line's value at its centre.
    """
    nodes = np.arange(count)
    if width <= 1 + _SAME:
        clipped = np.clip(centres, 0, count - 1)
        matrix = np.maximum(0.0, 1.0 - np.abs(clipped[:, None] - nodes[None]))
        return matrix.astype(np.float32)
    upper = _below(centres[:, None] + width / 2 - nodes[None])
    lower = _below(centres[:, None] - width / 2 - nodes[None])
    matrix = (upper - lower) / width
    # the outermost values go on beyond their centres, so they take what is left
    left = np.clip(width / 2 - centres, 0, None)
    right = np.clip(centres + width / 2 - (count - 1), 0, None)
    matrix[:, 0] += _edge(left) / width
    matrix[:, -1] += _edge(right) / width
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True), dtype=np.float32)


def _below(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The integral of the hat function max(0, 1 - |t|) from minus infinity to x."""
    inner = np.clip(x, -1.0, 1.0)
    half = np.where(inner < 0, 0.5 * (1 + inner) ** 2, 1 - 0.5 * (1 - inner) ** 2)
    return np.asarray(half, dtype=np.float64)


def _edge(over: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a constant beyond the last centre adds to the hat that stands there already, over a length."""
    inner = np.clip(over, 0.0, 1.0)
    return np.asarray(over - (inner - 0.5 * inner**2), dtype=np.float64)


def _sheared(axes: NDArray[np.float64]) -> int | None:
    """The axis along which slices are stacked askew, None where all axes are perpendicular.

    It is the one whose other two axes are perpendicular; of several the one with the largest step.
    """
    unit = axes / np.linalg.norm(axes, axis=0)
    cosines = np.abs(unit.T @ unit)
    limit = np.sin(np.radians(UPRIGHT))
    pairs = {2: cosines[0, 1], 1: cosines[0, 2], 0: cosines[1, 2]}
    if max(pairs.values()) <= limit:
        return None
    fit = [axis for axis, cosine in pairs.items() if cosine <= limit]
    if not fit:
        raise ScanError("No two axes of the volume are perpendicular, so its tilt has no direction; resample it first.")
    steps = np.linalg.norm(axes, axis=0)
    return max(fit, key=lambda axis: (round(float(steps[axis]), 6), axis))


def _to_last(volume: Volume, axis: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Array and affine with one axis made the slice axis, the other two in their order."""
    order = [a for a in range(3) if a != axis] + [axis]
    array = np.transpose(volume.array, (0, *(3 - a for a in order[::-1])))
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, order]
    return array, affine


def _from_last(
    array: NDArray[np.float32], affine: NDArray[np.float64], axis: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    order = [a for a in range(3) if a != axis] + [axis]
    back = [order.index(a) for a in range(3)]
    turned = np.transpose(array, (0, *(3 - a for a in back[::-1])))
    result = affine.copy()
    result[:3, :3] = affine[:3, back]
    return np.ascontiguousarray(turned), result


def _moved(
    picture: NDArray[np.float32], across: float, down: float, size: tuple[int, int], outside: float
) -> NDArray[np.float32]:
    """A picture moved right and down by fractions of a pixel into a larger one (rows, columns), mixed linearly."""
    rows, columns = picture.shape
    top, left = int(np.floor(down)), int(np.floor(across))
    part_down, part_across = np.float32(down - top), np.float32(across - left)
    tall = np.full((size[0] + 1, columns), outside, np.float32)
    tall[top : top + rows] = picture
    if part_down:
        tall[1:] = tall[1:] * (1 - part_down) + tall[:-1] * part_down
        tall[0] = tall[0] * (1 - part_down) + np.float32(outside) * part_down
    wide = np.full((size[0], size[1] + 1), outside, np.float32)
    wide[:, left : left + columns] = tall[: size[0]]
    if part_across:
        wide[:, 1:] = wide[:, 1:] * (1 - part_across) + wide[:, :-1] * part_across
        wide[:, 0] = wide[:, 0] * (1 - part_across) + np.float32(outside) * part_across
    moved: NDArray[np.float32] = wide[:, : size[1]]
    return moved
