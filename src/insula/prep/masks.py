"""Putting a mask that was drawn on some grid onto the grid of its scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from insula.core.errors import UnsuitableScanError
from insula.core.types import Volume

_SAME_MM = 0.05
_MOST_OUTSIDE = 0.5


def onto(mask: Volume, scan: Volume) -> Volume:
    """The mask (1, Z, Y, X) on the scan's voxels, nearest neighbour by both affines; values stay as they are.

    A mask or scan whose file does not say where it lies (identity affine) fits only voxel by voxel. Raises
    UnsuitableScanError for such a pair of different sizes, and for a mask that lies outside the scan by more than half.
    """
    shape, wanted = mask.array.shape[1:], scan.array.shape[1:]
    if shape == wanted and (not _placed(mask) or not _placed(scan) or _same_place(mask, scan)):
        return replace(mask, affine=scan.affine)
    if not _placed(mask) or not _placed(scan):
        raise UnsuitableScanError(
            f"The mask has {_size(shape)} slices × rows × columns and its scan {_size(wanted)}, and the files do not "
            "both say where they lie; give the mask that was drawn on this scan."
        )
    to_mask = np.linalg.inv(mask.affine) @ scan.affine
    marked = np.argwhere(mask.array[0] >= 0.5)
    if len(marked):
        at = _move(np.linalg.inv(to_mask), marked[:, ::-1].T)
        within = (at > -0.5) & (at < np.array(wanted[::-1])[:, None] - 0.5)
        # one slice of a series shares its mask with the others: where the lesion lies along the series says nothing
        inside = np.all(within if wanted[0] > 1 else within[:2], axis=0)
        if inside.mean() < 1 - _MOST_OUTSIDE:
            raise UnsuitableScanError(
                f"{1 - inside.mean():.0%} of the mask lies outside the scan; give the mask that was drawn on this scan."
            )
    return moved(mask, scan)


def moved(mask: Volume, scan: Volume) -> Volume:
    """The mask on the scan's voxels by both affines, nearest neighbour; 0 where the scan goes beyond the mask."""
    shape, wanted = mask.array.shape[1:], scan.array.shape[1:]
    to_mask = np.linalg.inv(mask.affine) @ scan.affine
    out = np.zeros((1, *wanted), np.float32)
    y, x = np.mgrid[: wanted[1], : wanted[2]]
    for z in range(wanted[0]):
        index = np.rint(_move(to_mask, np.stack([x.ravel(), y.ravel(), np.full(x.size, z)]))).astype(int)
        known = np.all((index >= 0) & (index < np.array(shape[::-1])[:, None]), axis=0)
        i, j, k = index[:, known]
        out[0, z].ravel()[known] = mask.array[0, k, j, i]
    return replace(mask, array=out, affine=scan.affine)


def _placed(volume: Volume) -> bool:
    return not np.array_equal(volume.affine, np.eye(4))


def _same_place(a: Volume, b: Volume) -> bool:
    """Whether the corners of two grids of one shape lie together, to a twentieth of a millimetre."""
    z, y, x = a.array.shape[1:]
    corners = np.array([[i * (x - 1), j * (y - 1), k * (z - 1)] for i in (0, 1) for j in (0, 1) for k in (0, 1)]).T
    return bool(np.abs(_move(a.affine, corners) - _move(b.affine, corners)).max() < _SAME_MM)


def _move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    moved: np.ndarray = matrix[:3, :3] @ points + matrix[:3, 3:]
    return moved


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
