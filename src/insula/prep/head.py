"""Cropping a scan to the head, so that table, headrest and air do not take the network's pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from insula.core.errors import UnsuitableScanError
from insula.core.types import FloatArray, Volume

_HEAD_HU: Final = -200.0  # skin and fat lie above, air and most headrests below
_THIN_MM: Final = 4.0  # straps, headrest shells and tubes are thinner
_LEAST: Final = 8


def crop_to_head(
    volume: Volume,
    margin: Annotated[float, Field(ge=0.0, le=100.0, description="a number of millimetres from 0 to 100")] = 5.0,
) -> Volume:
    """Cut rows and columns away that no slice's head reaches, keeping `margin` mm; one box for all slices.

    The head is the largest part above −200 HU, or above Otsu's threshold (1979) of the first channel where there are no
    Hounsfield units, after thin things were opened away. The number of slices stays. Raises UnsuitableScanError for a
    scan without contrast.
    """
    head = head_mask(volume)
    sx, sy, _ = volume.spacing
    top, bottom = _reach(np.flatnonzero(head.any(axis=(0, 2))), head.shape[1], margin / sy)
    left, right = _reach(np.flatnonzero(head.any(axis=(0, 1))), head.shape[2], margin / sx)
    affine = volume.affine.copy()
    affine[:3, 3] = (affine @ [left, top, 0, 1])[:3]
    return replace(volume, array=np.ascontiguousarray(volume.array[:, :, top:bottom, left:right]), affine=affine)


def head_mask(volume: Volume) -> NDArray[np.bool_]:
    """The head as bool (Z, Y, X), without holes filled: see `crop_to_head`."""
    from scipy.ndimage import label

    channel = volume.array[0]
    level = _HEAD_HU if volume.units == "HU" else _otsu(channel)
    pixel = sum(volume.spacing[:2]) / 2
    size = max(1, round(_THIN_MM / pixel))
    thick = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened = np.stack([cv2.morphologyEx((p > level).astype(np.uint8), cv2.MORPH_OPEN, thick) for p in channel])
    parts, count = label(opened)
    if count == 0:
        raise UnsuitableScanError(
            "Step 'crop_to_head' found no head in this scan: nothing stands out from the background; look at the scan, "
            "or use a recipe without this step."
        )
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    head: NDArray[np.bool_] = parts == sizes.argmax()
    return head


def _reach(where: NDArray[np.intp], length: int, margin: float) -> tuple[int, int]:
    """From the first index to behind the last one with a margin, at least `_LEAST` apart, inside the picture."""
    first = max(0, int(where[0] - np.ceil(margin)))
    last = min(length, int(where[-1] + 1 + np.ceil(margin)))
    if last - first < _LEAST:
        first = max(0, min(first, length - _LEAST))
        last = min(length, first + _LEAST)
    return first, last


def _otsu(channel: FloatArray) -> float:
    """The threshold with the largest variance between the two sides (Otsu 1979), over 256 bins of the value range."""
    low, high = float(channel.min()), float(channel.max())
    if not high > low:
        return high
    counts, edges = np.histogram(channel, 256, (low, high))
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middle)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.nanargmax(between[:-1]))])
