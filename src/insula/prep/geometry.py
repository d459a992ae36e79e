"""Steps that change the grid: in-plane size and the choice of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from insula.core.errors import RecipeError
from insula.core.types import Volume

_LARGEST = 2048


def resize(volume: Volume, value: int | Sequence[int]) -> Volume:
    """Resize each slice to (height, width) pixels; one number means a square.

    The picture is first padded to the target's aspect with its darkest corner value, so that heads keep their shape.
    Shrinking averages over areas (no aliasing), growing interpolates linearly.
    """
    height, width = _size(value)
    c, z, y, x = volume.array.shape
    if (y, x) == (height, width):
        return volume
    top, bottom, left, right = _padding(y, x, height / width)
    full_y, full_x = y + top + bottom, x + left + right
    shrink = height * width < full_y * full_x
    flags = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    out = np.empty((c, z, height, width), np.float32)
    for i in range(c):
        for j in range(z):
            plane = volume.array[i, j]
            if top or bottom or left or right:
                fill = min(plane[0, 0], plane[0, -1], plane[-1, 0], plane[-1, -1])
                plane = np.pad(plane, ((top, bottom), (left, right)), constant_values=fill)
            out[i, j] = cv2.resize(np.ascontiguousarray(plane), (width, height), interpolation=flags)
    return replace(volume, array=out, affine=_affine(volume, (top, left), (full_y / height, full_x / width)))


def pick_slices(volume: Volume, value: int) -> Volume:
    """Keep at most this many slices, evenly spaced over the stack, both ends included."""
    if not isinstance(value, int) or value < 1:
        raise RecipeError(f"Step 'pick_slices' has {value!r}; write a whole number above 0.")
    z = volume.array.shape[1]
    if z <= value:
        return volume
    chosen = np.round(np.linspace(0, z - 1, value)).astype(int)
    affine = volume.affine.copy()
    affine[:3, 2] *= (z - 1) / max(value - 1, 1)
    return replace(volume, array=np.ascontiguousarray(volume.array[:, chosen]), affine=affine)


def _size(value: int | Sequence[int]) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and 8 <= v <= _LARGEST for v in pair):
        raise RecipeError(f"Step 'resize' has {value!r}; write one or two whole numbers from 8 to {_LARGEST}.")
    return pair[0], pair[1]


def _padding(y: int, x: int, aspect: float) -> tuple[int, int, int, int]:
    extra_y = max(0, round(x * aspect) - y)
    extra_x = max(0, round(y / aspect) - x)
    return extra_y // 2, extra_y - extra_y // 2, extra_x // 2, extra_x - extra_x // 2


def _affine(volume: Volume, offset: tuple[int, int], step: tuple[float, float]) -> np.ndarray:
    """The centre of new voxel i lies at old index step·(i + ½) − ½ − pad, so that the edges of the picture stay."""
    to_old = np.eye(4)
    for axis, pad, s in ((0, offset[1], step[1]), (1, offset[0], step[0])):
        to_old[axis, axis] = s
        to_old[axis, 3] = s / 2 - 0.5 - pad
    result: np.ndarray = volume.affine @ to_old
    return result
