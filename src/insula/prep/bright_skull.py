"""The brain in a CT picture: what a ring of white encloses, where no Hounsfield units are left.

A picture saved in a brain window shows bone as white as it can be. So its brightness stands for bone, air and what lies
between, and `brain.brain_mask` does the rest. It is a judgement by brightness: fresh blood that touches the bone is as
white as bone in such a window and counts as bone, and in a window in which bone is not white nothing is found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.errors import UnsuitableScanError
from insula.core.types import FloatArray, Volume
from insula.prep.brain import brain_mask

Mask = NDArray[np.bool_]

_WHITE: Final = 0.98  # of full scale: compression leaves bone a little below it
_BRIGHT: Final = 0.9  # of full scale: bone whose border compression has blurred
_BLACK: Final = 0.02
_BONE_HU, _TISSUE_HU, _AIR_HU = 1000.0, 80.0, -1000.0  # what white, all between and black stand for
_FIELD_MM: Final = 240.0  # longer side of a picture that has no pixel size
_NEAR_MM: Final = 3.0
_BONY: Final = 0.8  # of the border: a mouth within its jaw has up to 0.75, a brain without air beside it from 0.87 on


def bright_brain(volume: Volume) -> Mask:
    """What white bone encloses in a CT picture or a stack of them: bool (Z, Y, X).

    Colours count by their mean. Raises UnsuitableScanError for a scan that is no picture of a known bit depth, where no
    brain is enclosed by white, and where less than 80% of the border lies within 3 mm of it (a jaw, a large gap).
    """
    if volume.units == "HU" or not volume.full_scale:
        raise UnsuitableScanError(
            f"Bone is found by brightness in pictures alone, and this scan holds '{volume.units}' without a bit depth; "
            "give a picture as it was saved, or a DICOM CT."
        )
    shown = volume.array.mean(axis=0) / np.float32(volume.full_scale)
    white = shown >= _WHITE
    as_hu = np.where(white, _BONE_HU, np.where(shown <= _BLACK, _AIR_HU, shown * _TISSUE_HU)).astype(np.float32)
    size = pixel(volume)
    stands_for = replace(volume, array=as_hu[None], units="HU", affine=np.diag([*size, volume.spacing[2], 1.0]))
    found = brain_mask(stands_for)
    share = _beside_bone(found, shown >= _BRIGHT, sum(size) / 2)
    if share < _BONY:
        raise UnsuitableScanError(
            f"White bone lies beside {share:.0%} of the border of what it seems to enclose in this picture, and "
            f"{_BONY:.0%} are asked for, so this may be no brain; look at the picture."
        )
    return found


def without_bright_skull(volume: Volume) -> Volume:
    """The picture with everything black but the brain; raises as `bright_brain` does."""
    return replace(volume, array=np.where(bright_brain(volume), volume.array, np.float32(0.0)))


def pixel(volume: Volume) -> tuple[float, float]:
    """Millimetres along x and y; a picture without any shows a head across its longer side."""
    if np.array_equal(volume.affine, np.eye(4)):
        side = _FIELD_MM / max(volume.array.shape[2:])
        return side, side
    return volume.spacing[:2]


def _beside_bone(found: Mask, bright: Mask, pixel_mm: float) -> float:
    """The share of a mask's border that lies near what is bright."""
    near, border = 0, 0
    for inside, bone in zip(found, bright, strict=True):
        rim = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
        away: FloatArray = np.asarray(cv2.distanceTransform((~bone).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
        near += int((away[rim] * pixel_mm <= max(_NEAR_MM, 1.5 * pixel_mm)).sum())
        border += int(rim.sum())
    return near / max(border, 1)
