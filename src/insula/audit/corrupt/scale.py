"""Physical scales of a volume: what counts as its display range, and how many millimetres a pixel is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.audit.corrupt.corruption import placed
from insula.core.types import FloatArray, Volume
from insula.scans import threads

BRAIN: Final = (0.0, 80.0)  # HU, the brain window (centre 40, width 80) in which heads are read
STORED: Final = (-1024.0, 3071.0)  # HU, what 12 bits hold
_SOFT: Final = (-160.0, 240.0)  # HU, the soft-tissue window (centre 40, width 400)
HEAD_MM: Final = 240.0  # field of view of a head scan
Floats = NDArray[np.float64]
Plane = Callable[[FloatArray], FloatArray]


def display(volume: Volume) -> tuple[Floats, Floats]:
    """Darkest and brightest value shown, (C,) each: the brain window in HU, a picture's full scale, or the 1st to the
    99th percentile of each channel above its smallest value, as MR is commonly shown.
    """
    channels = len(volume.array)
    if volume.units == "HU":
        return np.full(channels, BRAIN[0]), np.full(channels, BRAIN[1])
    if volume.full_scale:
        return np.zeros(channels), np.full(channels, volume.full_scale)
    ends = [_shown(channel) for channel in volume.array]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def wide(volume: Volume) -> tuple[Floats, Floats]:
    """The range that an archive stores in 8 bits, (C,) each: the soft-tissue window in HU, a picture's full scale, or
    all values of the channel.
    """
    channels = len(volume.array)
    if volume.units == "HU":
        return np.full(channels, _SOFT[0]), np.full(channels, _SOFT[1])
    if volume.full_scale:
        return np.zeros(channels), np.full(channels, volume.full_scale)
    flat = volume.array.reshape(channels, -1)
    return flat.min(axis=1).astype(np.float64), flat.max(axis=1).astype(np.float64)


def limits(volume: Volume) -> tuple[float, float]:
    """The values that can be stored: 12 bits of HU (or what the scan holds already), a picture's full scale, none
    below 0 where there was none.
    """
    low, high = float(volume.array.min()), float(volume.array.max())
    if volume.units == "HU":
        return min(low, STORED[0]), max(high, STORED[1])
    if volume.full_scale:
        return 0.0, volume.full_scale
    return (0.0 if low >= 0.0 else -np.inf), np.inf


def stored(volume: Volume, array: FloatArray) -> FloatArray:
    """New values of a volume, cut at what can be stored; array is given up."""
    low, high = limits(volume)
    return np.clip(array, np.float32(low), np.float32(high), out=array)


def pixel_mm(volume: Volume) -> tuple[float, float]:
    """Millimetres a pixel along rows (y) and columns (x).

    Where the file does not say it, or the scan is a slide, the longer side counts as the 240 mm of a head scan, so
    that a millimetre is a 240th of it.
    """
    if volume.modality != "SM" and placed(volume):
        x, y, _ = volume.spacing
        return y, x
    side = HEAD_MM / max(volume.array.shape[2:])
    return side, side


def each_plane(volume: Volume, change: Plane) -> FloatArray:
    """Every picture (Y, X) of the array changed, as a new array; several at a time."""
    out = np.empty_like(volume.array)
    places = [(c, z) for c in range(out.shape[0]) for z in range(out.shape[1])]

    def one(place: tuple[int, int]) -> None:
        out[place] = change(np.ascontiguousarray(volume.array[place]))

    threads.each(one, places)
    return out


def blurred(plane: FloatArray, sigma: tuple[float, float]) -> FloatArray:
    """A picture under a Gaussian of these standard deviations in pixels (y, x), its border going on outside."""
    found = cv2.GaussianBlur(
        plane, (0, 0), sigmaX=max(sigma[1], 1e-3), sigmaY=max(sigma[0], 1e-3), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(found, np.float32)


def per_channel(values: Floats) -> FloatArray:
    """Numbers (C,) that spread over an array (C, Z, Y, X)."""
    shaped: FloatArray = values.astype(np.float32).reshape(-1, 1, 1, 1)
    return shaped


def _shown(channel: FloatArray) -> tuple[float, float]:
    inside = channel[channel > channel.min()]
    if not inside.size:
        return float(channel.min()), float(channel.min())
    low, high = np.percentile(inside, (1.0, 99.0))
    return float(low), float(high)
