"""Steps that change the grid: in-plane size, the choice of slices, an upright stack, even spacing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from insula.core.errors import UnsuitableScanError
from insula.core.types import Volume
from insula.prep.area import shrink
from insula.prep.values import Size, Spacing
from insula.scans import regrid, threads


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
    c, z, y, x = volume.array.shape
    planned = plan(y, x, value, method)
    if planned is None:
        return volume
    out = np.empty((z, c, planned.height, planned.width), np.float32)
    threads.each(lambda k: planned.planes(volume.array[:, k], out[k]), range(z))
    return replace(volume, array=out.transpose(1, 0, 2, 3), affine=planned.affine(volume.affine))


@dataclass(frozen=True)
class Plan:
    """What `resize` does to each plane of one size. pads: rows above and below, columns left and right of the plane;
    steps: old pixels for a new one, along rows and columns; shrinks: whether new values are means over areas.
    """

    height: int
    width: int
    pads: tuple[int, int, int, int]
    steps: tuple[float, float]
    shrinks: bool
    flags: int

    def planes(self, planes: Iterable[NDArray[np.float32]], out: NDArray[np.float32]) -> None:
        """Planes (Y, X) into (n, height, width); each is done with when the next one is taken."""
        if self.shrinks:
            shrink(map(self._padded, planes), out)
            return
        for plane, place in zip(planes, out, strict=True):
            place[:] = cv2.resize(self._padded(plane), (self.width, self.height), interpolation=self.flags)

    def _padded(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        if any(self.pads):
            top, bottom, left, right = self.pads
            fill = min(plane[0, 0], plane[0, -1], plane[-1, 0], plane[-1, -1])
            plane = np.pad(plane, ((top, bottom), (left, right)), constant_values=fill)
        return np.ascontiguousarray(plane)

    def affine(self, old: NDArray[np.float64]) -> NDArray[np.float64]:
        """The centre of new voxel i lies at old index step·(i + ½) − ½ − pad, so that the edges of the picture stay."""
        to_old = np.eye(4)
        for axis, pad, step in ((0, self.pads[2], self.steps[1]), (1, self.pads[0], self.steps[0])):
            to_old[axis, axis] = step
            to_old[axis, 3] = step / 2 - 0.5 - pad
        new: NDArray[np.float64] = old @ to_old
        return new


def plan(y: int, x: int, value: Size, method: str) -> Plan | None:
    """How planes of (y, x) are resized by the parameters of `resize`; None where they have the size already."""
    height, width = (value, value) if isinstance(value, int) else value
    if (y, x) == (height, width):
        return None
    pads = _padding(y, x, height / width)
    full_y, full_x = y + pads[0] + pads[1], x + pads[2] + pads[3]
    area = method == "area" or (method == "auto" and height * width < full_y * full_x)
    return Plan(
        height,
        width,
        pads,
        (full_y / height, full_x / width),
        shrinks=area and height <= full_y and width <= full_x,
        flags=cv2.INTER_AREA if area else cv2.INTER_LINEAR,
    )


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
