"""Steps that change the grid: in-plane size, the choice of slices, an upright stack, even spacing."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from insula.core.errors import UnsuitableScanError
from insula.core.types import Volume
from insula.prep.area import shrink
from insula.prep.values import Size, Spacing
from insula.scans import regrid


def resize(
    volume: Volume,
    value: Size,
    method: Annotated[Literal["auto", "area", "linear"], Field(description="'auto', 'area' or 'linear'")] = "auto",
) -> Volume:
    """Resize each slice to (height, width) pixels; one number means a square.

    The picture is first padded to the target's aspect with its darkest corner value, so that heads keep their shape.
    method: `area` averages over areas (no aliasing when shrinking), `linear` interpolates; `auto` takes `area` to
    shrink and `linear` to grow.
    """
    height, width = (value, value) if isinstance(value, int) else value
    c, z, y, x = volume.array.shape
    if (y, x) == (height, width):
        return volume
    top, bottom, left, right = _padding(y, x, height / width)
    full_y, full_x = y + top + bottom, x + left + right
    area = method == "area" or (method == "auto" and height * width < full_y * full_x)
    flags = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    out = np.empty((c, z, height, width), np.float32)
    for i in range(c):
        for j in range(z):
            plane = volume.array[i, j]
            if top or bottom or left or right:
                fill = min(plane[0, 0], plane[0, -1], plane[-1, 0], plane[-1, -1])
                plane = np.pad(plane, ((top, bottom), (left, right)), constant_values=fill)
            if area and height <= full_y and width <= full_x:
                out[i, j] = shrink(np.ascontiguousarray(plane), height, width)
            else:
                out[i, j] = cv2.resize(np.ascontiguousarray(plane), (width, height), interpolation=flags)
    return replace(volume, array=out, affine=_affine(volume, (top, left), (full_y / height, full_x / width)))


def pick_slices(volume: Volume, value: Annotated[int, Field(ge=1, description="a whole number above 0")]) -> Volume:
    """Keep at most this many slices, evenly spaced over the stack, both ends included."""
    z = volume.array.shape[1]
    if z <= value:
        return volume
    chosen = np.round(np.linspace(0, z - 1, value)).astype(int)
    affine = volume.affine.copy()
    affine[:3, 2] *= (z - 1) / max(value - 1, 1)
    return replace(volume, array=np.ascontiguousarray(volume.array[:, chosen]), affine=affine)


def untilt(volume: Volume) -> Volume:
    """Shift the slices of a tilted gantry in their plane so that the stack stands upright; others stay as they are."""
    return regrid.untilt(volume)


def resample(volume: Volume, value: Spacing) -> Volume:
    """Resample to voxels of this size in mm: one number for all three axes, or (x, y, z); put `untilt` before it.

    Raises UnsuitableScanError for a scan whose file does not say its voxel size, as a picture.
    """
    if np.array_equal(volume.affine, np.eye(4)) or any("1 mm assumed" in note for note in volume.warnings):
        raise UnsuitableScanError(
            "Step 'resample' needs the size of the voxels, and this scan's file does not say it; give the DICOM or "
            "NIfTI file, or use 'resize' in the recipe."
        )
    x, y, z = (value,) * 3 if isinstance(value, int | float) else value
    return regrid.resample(volume, (x, y, z))


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
