"""The brain in a head CT: what lies inside the skull, and taking the skull away.

The inside of the skull is found by what encloses it. In each slice bone is a threshold on lightly smoothed Hounsfield
units; soft tissue is enclosed when bone stands in nearly every direction from it. An opening cuts the bridges through
foramina and thin bone, the largest connected part of the whole series is kept and grown back, and holes
(calcifications, coils, air after surgery) are filled. Nothing is assumed about age, tilt or slice thickness, and blood
next to the skull stays, since only bone and air are taken away.

Related: threshold, morphology and largest component as in Muschelli et al., NeuroImage 114:379 (2015), which uses BET
(Smith, Hum Brain Mapp 17:143, 2002) for what bone in all directions does here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from insula.core.errors import UnsuitableScanError
from insula.core.types import FloatArray, Volume
from insula.prep.intensity import no_hu
from insula.prep.kept import KeptMasks

Mask = NDArray[np.bool_]

_MM: Final = 1.0  # pixels of the working grid, so that a distance in pixels is one in millimetres
_SMOOTH_MM: Final = 0.8
_BONE: Final = 160.0  # HU, smoothed: above clotted blood (to about 100), below most partial volume of thin bone
_SOFT: Final = -25.0  # HU, smoothed: below fluid (0 to 15) and its noise, above fat (-100 to -60)
_EDGE: Final = 350.0  # HU: partial volume of brain or blood and bone below it belongs to the inside
_RIM_MM: Final = 1.5  # how far the border may move through that partial volume
_BRIDGE_MM: Final = 5.0  # bridges of soft tissue up to twice this wide are cut
_NOTCH_MM: Final = 2.0
_DIRECTIONS: Final = 6  # of 8: a surgical gap in the skull takes away one or two
_SMALLEST_CM2: Final = 8.0  # the largest slice of a newborn is larger, the spinal canal is smaller
_KEPT: Final = KeptMasks(64 << 20)


def remove_skull(
    volume: Volume,
    fill: Annotated[float, Field(ge=-1024, le=3071, description="a number of HU from -1024 to 3071")] = -1000.0,
    margin: Annotated[float, Field(ge=0.0, le=20.0, description="a number of millimetres from 0 to 20")] = 0.0,
    pictures: Annotated[
        Literal["refuse", "by_brightness"], Field(description="'refuse' or 'by_brightness'")
    ] = "refuse",
) -> Volume:
    """Set everything outside the brain to `fill` HU; `margin` widens what is kept, in mm in each slice.

    With `pictures: by_brightness` a CT picture without HU is taken too: bone is what is white around the brain
    (`prep.bright_skull`), and all else becomes black. Otherwise raises UnsuitableScanError for a scan without HU (a
    picture, an MR), and always where no brain is found.
    """
    if volume.units != "HU" and pictures == "by_brightness":
        from insula.prep import bright_skull  # stands on this file

        inside, fill = bright_skull.bright_brain(volume), 0.0
        sx, sy = bright_skull.pixel(volume)
    elif volume.units != "HU":
        way_out = no_hu("remove_skull", volume).removesuffix(".")
        raise UnsuitableScanError(f"{way_out}, or for CT pictures give it pictures: by_brightness.")
    else:
        inside, (sx, sy, _) = brain_mask(volume), volume.spacing
    if margin:
        inside = np.stack([_distance(~plane) * (sx + sy) / 2 <= margin for plane in inside])
    return replace(volume, array=np.where(inside, volume.array, np.float32(fill)))


def brain_mask(volume: Volume) -> Mask:
    """What lies inside the skull of a head CT: bool (Z, Y, X), brain with its fluid, blood and calcifications.

    The masks of the scans seen last are kept (64 MB), since an evaluation and an audit ask for those of the same scans.
    Raises UnsuitableScanError for a scan without Hounsfield units, and when no slice holds soft tissue that bone
    encloses.
    """
    if volume.units != "HU":
        raise UnsuitableScanError(no_hu("remove_skull", volume))
    return _KEPT.of(volume.array[0], volume.spacing, _found)


def _found(hu: FloatArray, spacing: tuple[float, float, float]) -> Mask:
    sx, sy, _ = spacing
    rows, columns = (int(np.clip(round(n * s / _MM), 16, 1024)) for n, s in ((hu.shape[1], sy), (hu.shape[2], sx)))
    small = np.stack([_resized(plane, rows, columns) for plane in hu])
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), _SMOOTH_MM / _MM) for plane in small])
    bone = smooth > _BONE
    free = ~bone & (smooth > _SOFT)
    core = np.stack([_distance(plane) > _BRIDGE_MM for plane in free & _enclosed(bone)])
    seed = _largest(core)
    if seed.sum(axis=(1, 2)).max(initial=0) * _MM**2 / 100.0 < _SMALLEST_CM2:
        raise UnsuitableScanError(
            "Step 'remove_skull' found no brain enclosed by bone in this scan; give a head CT, or a recipe without it."
        )
    found = np.zeros(hu.shape, np.bool_)
    for z in np.flatnonzero(seed.any(axis=(1, 2))):
        inner = _grown_back(seed[z], free[z], smooth[z])
        large = _resized(inner.astype(np.float32), *hu.shape[1:]) >= 0.5
        found[z] = _to_the_bone(large, hu[z], (sx + sy) / 2)
    for plane in found:  # from the lowest slice up: the canal below the foramen magnum
        if plane.sum() * sx * sy / 100.0 >= _SMALLEST_CM2:
            break
        plane[:] = False
    return found


def _enclosed(bone: Mask) -> Mask:
    """Where bone (Z, Y, X) stands in at least `_DIRECTIONS` of the eight directions of rows, columns and diagonals."""
    z, h, w = bone.shape
    count = _both_ways(bone, 1) + _both_ways(bone, 2)
    sheared = np.zeros((z, h, w + h), np.bool_)
    for towards in (
        np.arange(h),
        h - np.arange(h),
    ):  # a diagonal becomes a column when each row is shifted by its number
        sheared[:] = False
        for row, offset in enumerate(towards):
            sheared[:, row, offset : offset + w] = bone[:, row]
        seen = _both_ways(sheared, 1)
        for row, offset in enumerate(towards):
            count[:, row] += seen[:, row, offset : offset + w]
    enclosed: Mask = count >= _DIRECTIONS
    return enclosed


def _both_ways(bone: Mask, axis: int) -> NDArray[np.uint8]:
    ahead = np.logical_or.accumulate(bone, axis=axis)
    behind = np.flip(np.logical_or.accumulate(np.flip(bone, axis), axis=axis), axis)
    return ahead.astype(np.uint8) + behind


def _largest(core: Mask) -> Mask:
    """The largest part of a stack whose slices touch by their faces."""
    from scipy.ndimage import label

    parts, _ = label(core)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest: Mask = (parts == sizes.argmax()) & core
    return largest


def _grown_back(seed: Mask, free: Mask, smooth: FloatArray) -> Mask:
    """One slice's opened core grown to its borders, notches closed and holes filled, without bone outside or air."""
    from scipy.ndimage import binary_fill_holes, label

    near = (_distance(~seed) <= _BRIDGE_MM + 2.0) & free
    parts, _ = label(near)
    kept = np.isin(parts, np.unique(parts[seed & near])) & near
    closed = kept | (_distance(_distance(~kept) <= _NOTCH_MM) > _NOTCH_MM)
    filled = binary_fill_holes(closed & (smooth > -200.0))
    opened: Mask = _distance(~(_distance(filled) > 1.5)) <= 1.5
    return opened


def _to_the_bone(inner: Mask, hu: FloatArray, pixel_mm: float) -> Mask:
    """The border moved out through partial volume to the bone's edge, and bone that is part of the skull taken out."""
    near = _distance(~inner) * pixel_mm <= max(_RIM_MM, 1.1 * pixel_mm)
    smooth = cv2.GaussianBlur(hu, (0, 0), max(0.4, 0.4 / pixel_mm))
    wide = inner | (near & (smooth < _EDGE) & (smooth > _SOFT))
    hard = smooth >= _EDGE
    _, parts, facts, _ = cv2.connectedComponentsWithStats(hard.astype(np.uint8), connectivity=4)
    outside = np.bincount(parts[~wide], minlength=len(facts))
    skull = outside > 0.5 * facts[:, cv2.CC_STAT_AREA]
    skull[0] = False  # the label of what is no bone
    result: Mask = wide & ~skull[parts]
    return result


def _distance(mask: Mask) -> FloatArray:
    """Pixels from each point inside a mask to the nearest outside; far where there is no outside."""
    if mask.all():
        return np.full(mask.shape, 1e6, np.float32)
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _resized(plane: FloatArray, rows: int, columns: int) -> FloatArray:
    shrink = rows * columns < plane.size
    flags = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), (columns, rows), interpolation=flags), np.float32)
