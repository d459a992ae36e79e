"""The heat of a prediction on the pixels of any plane in the patient: of a volume, or of the file it came in."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray
from insula.serve.view import View

_PARALLEL = 0.25  # prepared slices that a plane may cross and still be one with the nearest of them


def heat_on_plane(
    seen: View, class_index: int, affine: NDArray[np.float64], size: tuple[int, int], origin: float = 0.0
) -> FloatArray:
    """A class's heat on the pixels (Y, X) of a plane; 0 beyond the prepared picture.

    affine: (column, row, depth) → LPS mm, of which the plane is the one at depth `origin`; size: rows and columns. One
    step of depth is the distance to the next plane. The heat is that of the prepared slice nearest to the plane; where
    none lies within half a slice of it, there is no heat. A plane across the prepared slices has that of the slice
    nearest to each pixel.
    """
    to_prepared = np.linalg.inv(seen.affine) @ affine
    to_prepared[:, 3] += to_prepared[:, 2] * origin
    height, width = size
    if abs(to_prepared[2, 0]) * width + abs(to_prepared[2, 1]) * height > _PARALLEL:
        return _across(seen, class_index, to_prepared, size)
    nothing = np.zeros(size, np.float32)
    middle = to_prepared @ np.array([(width - 1) / 2, (height - 1) / 2, 0.0, 1.0])
    nearest = round(float(middle[2]))
    reach = max(0.5, 0.5 * abs(float(to_prepared[2, 2])))
    if nearest not in seen.numbers or abs(float(middle[2]) - nearest) > reach + 1e-6:
        return nothing
    cells = seen.heat[class_index, seen.numbers.index(nearest)]
    down, across = (cells.shape[0] / seen.slices.shape[1], cells.shape[1] / seen.slices.shape[2])
    to_cells = np.array([[across, 0.0, (across - 1) / 2], [0.0, down, (down - 1) / 2], [0.0, 0.0, 1.0]])
    flat, shift = to_prepared[np.ix_([0, 1], [0, 1])], to_prepared[:2, 3]
    matrix = to_cells @ np.array([[*flat[0], shift[0]], [*flat[1], shift[1]], [0.0, 0.0, 1.0]])
    rows, columns = np.mgrid[:height, :width]
    inside = _within(
        seen, flat[0, 0] * columns + flat[0, 1] * rows + shift[0], flat[1, 0] * columns + flat[1, 1] * rows + shift[1]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(np.ascontiguousarray(cells), matrix[:2], (width, height), None, flags, cv2.BORDER_REPLICATE)
    return np.where(inside, np.asarray(moved, np.float32), nothing)


def _across(seen: View, class_index: int, to_prepared: NDArray[np.float64], size: tuple[int, int]) -> FloatArray:
    """The heat on a plane that crosses the prepared slices, as a sagittal slice does axial ones."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float64)
    x, y, z = (to_prepared[i, 0] * columns + to_prepared[i, 1] * rows + to_prepared[i, 3] for i in range(3))
    places = np.full(len(seen.slices) + 2, -1)  # prepared slice → its place in the heat; none before and behind them
    places[np.asarray(seen.numbers) + 1] = np.arange(len(seen.numbers))
    place = places[np.clip(np.rint(z) + 1, 0, len(places) - 1).astype(int)]
    inside = _within(seen, x, y) & (place >= 0)
    heat = seen.heat[class_index]
    high, wide = heat.shape[1:]
    v = np.clip((y + 0.5) * high / seen.slices.shape[1] - 0.5, 0, high - 1)
    u = np.clip((x + 0.5) * wide / seen.slices.shape[2] - 0.5, 0, wide - 1)
    top, left = np.minimum(v.astype(int), max(high - 2, 0)), np.minimum(u.astype(int), max(wide - 2, 0))
    low, right = np.minimum(top + 1, high - 1), np.minimum(left + 1, wide - 1)
    part_v, part_u = v - top, u - left
    found = (1 - part_v) * ((1 - part_u) * heat[place, top, left] + part_u * heat[place, top, right])
    found += part_v * ((1 - part_u) * heat[place, low, left] + part_u * heat[place, low, right])
    return np.where(inside, found, 0.0).astype(np.float32)


def _within(seen: View, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.bool_]:
    high, wide = seen.slices.shape[1:3]
    found: NDArray[np.bool_] = (across > -0.5) & (across < wide - 0.5) & (down > -0.5) & (down < high - 0.5)
    return found
