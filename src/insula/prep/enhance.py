"""Local contrast and noise: contrast-limited equalisation and edge-keeping smoothing, in float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Final, Literal

import cv2
import numpy as np
from pydantic import Field

from insula.core.errors import UnsuitableScanError
from insula.core.types import FloatArray, Volume

_BINS: Final = 256
_FULL: Final = 65535.0


def clahe(
    volume: Volume,
    limit: Annotated[float, Field(ge=1.0, le=100.0, description="a number from 1 to 100")] = 2.0,
    tiles: Annotated[int, Field(ge=1, le=64, description="a whole number from 1 to 64")] = 8,
) -> Volume:
    """Equalise each slice's contrast locally with a limited gain, on values in [0, 1] and in float throughout.

    limit: how many times its even share a bin of a tile's histogram may hold, which bounds the gain. tiles: along each
    side. Each tile's mapping runs linearly through its bins and the mappings are blended bilinearly, so that no value
    is rounded (Zuiderveld, Graphics Gems IV, 1994). OpenCV's version rounds to 8 bits; with 16 its limit has no
    effect, since a tile has fewer pixels than bins. Raises UnsuitableScanError for values outside [0, 1], as HU.
    """
    low, high = float(volume.array.min()), float(volume.array.max())
    if volume.units == "HU" or low < -1e-4 or high > 1 + 1e-4:
        raise UnsuitableScanError(
            f"Step 'clahe' takes values from 0 to 1, and this scan's run from {low:.6g} to {high:.6g}; put 'windows', "
            "'percentile' or 'minmax' before it in the recipe."
        )
    return _each_slice(volume, lambda plane: _equalised(plane, limit, tiles))


def denoise(
    volume: Volume,
    method: Annotated[
        Literal["bilateral", "nlm", "median"], Field(description="'bilateral', 'nlm' or 'median'")
    ] = "bilateral",
    strength: Annotated[float | None, Field(gt=0.0, description="a number above 0, in the scan's units")] = None,
    radius: Annotated[int, Field(ge=1, le=10, description="a whole number of pixels from 1 to 10")] = 2,
) -> Volume:
    """Smooth noise in each slice and keep edges; values stay in the scan's units (HU stay HU).

    method: `bilateral` (Tomasi & Manduchi 1998) in float; `nlm`, non-local means (Buades 2005) by OpenCV on 16 bits of
    the channel's range (for CT 0.06 HU a step); `median` in float, which takes no strength. strength: differences up to
    about this are noise; left out, it is 2 times (`nlm`: 1 time) the middle of the slices' measured `noise`.
    radius: of the neighbourhood, in pixels (`nlm` searches 3 times as far).
    """
    if method == "median":
        return _each_slice(volume, lambda plane: _median(plane, radius))
    out = np.empty_like(volume.array)
    for c, channel in enumerate(volume.array):
        measured = float(np.median([noise(plane) for plane in channel]))
        for z, plane in enumerate(channel):
            if method == "bilateral":
                level = max(strength or 2.0 * measured, 1e-6)
                out[c, z] = cv2.bilateralFilter(
                    np.ascontiguousarray(plane), 2 * radius + 1, level, max(radius / 1.5, 0.5)
                )
            else:
                out[c, z] = _non_local(plane, strength or measured, radius)
    return replace(volume, array=out)


def noise(plane: FloatArray) -> float:
    """The standard deviation of a picture's noise where it is brighter than its mean, from what a blur takes away.

    1.4826 times the median absolute residual of a Gaussian blur of 2 pixels: edges hardly move a median, and noise that
    a reconstruction kernel has smoothed, which second differences miss, is still seen.
    """
    residual = np.abs(plane - cv2.GaussianBlur(plane, (0, 0), 2.0))[plane > plane.mean()]
    return 1.4826 * float(np.median(residual)) / 0.97 if residual.size else 0.0  # the blur keeps 3% of white noise


def _each_slice(volume: Volume, change: Callable[[FloatArray], FloatArray]) -> Volume:
    out = np.empty_like(volume.array)
    for c, channel in enumerate(volume.array):
        for z, plane in enumerate(channel):
            out[c, z] = change(np.ascontiguousarray(plane))
    return replace(volume, array=out)


def _equalised(plane: FloatArray, limit: float, tiles: int) -> FloatArray:
    h, w = plane.shape
    rows, columns = min(tiles, h), min(tiles, w)
    at = np.clip(plane, 0.0, 1.0) * _BINS
    bins = np.minimum(at.astype(np.intp), _BINS - 1)
    part = (at - bins).astype(np.float32)
    edges_y, edges_x = np.linspace(0, h, rows + 1).astype(int), np.linspace(0, w, columns + 1).astype(int)
    curves = np.empty((rows, columns, _BINS + 1), np.float32)
    for i in range(rows):
        for j in range(columns):
            tile = bins[edges_y[i] : edges_y[i + 1], edges_x[j] : edges_x[j + 1]]
            curves[i, j] = _curve(np.bincount(tile.ravel(), minlength=_BINS), limit)
    out = np.zeros_like(plane)
    for down, share_y in _weights(h, rows):
        for across, share_x in _weights(w, columns):
            low = curves[down[:, None], across[None, :], bins]
            high = curves[down[:, None], across[None, :], bins + 1]
            out += share_y[:, None] * share_x[None, :] * (low + part * (high - low))
    return out


def _curve(counts: np.ndarray, limit: float) -> FloatArray:
    """The cumulated histogram, 0 to 1 at the bins' edges, its bins cut at the limit and the rest spread evenly."""
    most = limit * counts.sum() / _BINS
    cut = np.minimum(counts, most)
    cut = cut + (counts.sum() - cut.sum()) / _BINS
    curve: FloatArray = np.concatenate([[0.0], np.cumsum(cut) / cut.sum()]).astype(np.float32)
    return curve


def _weights(length: int, tiles: int) -> list[tuple[np.ndarray, FloatArray]]:
    """For each pixel its tile before and after, by the tiles' middles, each with its weight."""
    place = (np.arange(length) + 0.5) * tiles / length - 0.5
    before = np.floor(place).astype(np.intp)
    share: FloatArray = (place - before).astype(np.float32)
    first, last = np.clip(before, 0, tiles - 1), np.clip(before + 1, 0, tiles - 1)
    return [(first, 1.0 - share), (last, share)]


def _median(plane: FloatArray, radius: int) -> FloatArray:
    if radius <= 2:
        return np.asarray(cv2.medianBlur(plane, 2 * radius + 1), np.float32)
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(plane, 2 * radius + 1, mode="nearest"), np.float32)


def _non_local(plane: FloatArray, strength: float, radius: int) -> FloatArray:
    low, high = float(plane.min()), float(plane.max())
    if not high > low:
        return plane
    scale = _FULL / (high - low)
    h = max(strength * scale, 1.0)
    whole = np.rint((plane - low) * scale).astype(np.uint16)
    done = cv2.fastNlMeansDenoising(
        whole, h=[h], templateWindowSize=2 * radius + 1, searchWindowSize=6 * radius + 1, normType=cv2.NORM_L1
    )
    back: FloatArray = done.astype(np.float32) / np.float32(scale) + np.float32(low)
    return back
