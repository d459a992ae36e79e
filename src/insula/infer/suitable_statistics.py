"""A few dozen numbers that describe how a prepared scan looks: grey values, edges, noise, symmetry, coarse layout.

They know nothing of the network, so that they see what it was never taught to see: a photograph, a knee, noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray

SLICES: Final = 8
_SMALL, _LAYOUT = 32, 6
_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_AFTER: Final = {"median": 2, "edges": 7, "coarse edges": 8, "roughness": 9, "border": 13, "slices": 15}
_RING: Final = np.pad(np.zeros((_SMALL - 4, _SMALL - 4), bool), 2, constant_values=True)
CHOSEN: Final = ("brightness", "contrast", *_AFTER)


def width(channels: int) -> int:
    """F, how many numbers there are."""
    return 2 * channels + 16 + _LAYOUT**2


def of_bags(bags: Sequence[FloatArray]) -> NDArray[np.float64]:
    """The numbers (F,) of all slices (S, C, H, W) of a case's scans; of eight slices, evenly chosen, where it has more.

    F is 2·C + 16 + 36: mean and deviation of each channel; of the mean of all channels quantiles, shares of darkest and
    brightest, edges fine and coarse, roughness, differences left to right and top to bottom, border, middle, variation
    between slices; and the mean of each of 6 × 6 cells.
    """
    chosen = _few_of(bags)
    grey = np.asarray(chosen[:, 0] if chosen.shape[1] == 1 else chosen.mean(axis=1, dtype=np.float32), np.float32)
    room = np.empty(grey.size, np.float32)
    means, deviations = _moments(chosen)
    small = np.stack([_resized(picture, _SMALL) for picture in grey])
    layout = np.stack([_resized(picture, _LAYOUT) for picture in small]).mean(axis=0)
    quarter = _SMALL // 4
    numbers = [
        *means,
        *deviations,
        *np.quantile(small, _QUANTILES),
        (small <= 0.02).mean(),
        (small >= 0.98).mean(),
        _edges(grey, room),
        _edges(small, np.empty_like(small).ravel()),
        _roughness(grey, room) if grey.shape[2] > 2 else 0.0,
        np.abs(small - small[:, :, ::-1]).mean(),
        np.abs(small - small[:, ::-1]).mean(),
        small[:, : _SMALL // 2].mean() - small[:, _SMALL // 2 :].mean(),
        small[:, _RING].mean(),
        small[:, quarter:-quarter, quarter:-quarter].mean(),
        small.mean(axis=(1, 2)).std(),
    ]
    return np.concatenate([np.array(numbers, np.float64), layout.ravel().astype(np.float64)])


def chosen(numbers: NDArray[np.float64]) -> dict[str, float]:
    """The few of the numbers (F,) that have a plain name (`CHOSEN`), in the prepared scan's own grey values.

    brightness, contrast: mean and deviation, over all channels. edges: between neighbouring pixels, and coarse ones
    between the pixels of a small picture. roughness: second differences, which noise and sharp kernels raise. border:
    the picture's rim. slices: deviation of the slices' means.
    """
    channels = (len(numbers) - width(0)) // 2
    found = {"brightness": numbers[:channels].mean(), "contrast": numbers[channels : 2 * channels].mean()}
    found |= {name: numbers[2 * channels + at] for name, at in _AFTER.items()}
    return {name: float(value) for name, value in found.items()}


# What lies between is put into one room (at least S·H·W) over and over: new memory of the system costs more than these
# sums. Those of float32 are taken over whole arrays, on whose bits the scales of bundles rest.


def _few_of(bags: Sequence[FloatArray]) -> FloatArray:
    """The slices (S, C, H, W) that are looked at."""
    total = sum(len(bag) for bag in bags)
    if len(bags) == 1 and total <= SLICES:
        return np.ascontiguousarray(bags[0])
    wanted = np.unique(np.linspace(0, total - 1, SLICES).round().astype(int))
    starts = np.cumsum([0, *(len(bag) for bag in bags)])
    owner = np.searchsorted(starts, wanted, side="right") - 1
    return np.stack([bags[b][i - starts[b]] for b, i in zip(owner, wanted, strict=True)])


def _moments(chosen: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each channel of slices (S, C, H, W), (C,) each, summed in float64 plane by plane."""
    slices, channels = chosen.shape[:2]
    planes = chosen.reshape(slices, channels, -1)
    count = planes.shape[0] * planes.shape[2]
    off = np.empty(planes.shape[2], np.float64)
    means, deviations = np.empty(channels), np.empty(channels)
    for c in range(channels):
        means[c] = sum(float(plane.sum(dtype=np.float64)) for plane in planes[:, c]) / count
        square = 0.0
        for plane in planes[:, c]:
            np.subtract(plane, means[c], out=off)
            square += float(off @ off)
        deviations[c] = np.sqrt(square / count)
    return means, deviations


def _edges(pictures: FloatArray, room: FloatArray) -> float:
    """Mean absolute difference of neighbours, down and across."""
    down = _mean_apart(pictures[:, 1:], pictures[:, :-1], room)
    return down + _mean_apart(pictures[:, :, 1:], pictures[:, :, :-1], room)


def _mean_apart(one: FloatArray, other: FloatArray, room: FloatArray) -> float:
    apart = np.subtract(one, other, out=room[: one.size].reshape(one.shape))
    return float(np.abs(apart, out=apart).mean())


def _roughness(pictures: FloatArray, room: FloatArray) -> float:
    """Mean absolute second difference across."""
    middle = pictures[:, :, 1:-1]
    bent = np.multiply(middle, np.float32(2.0), out=room[: middle.size].reshape(middle.shape))
    np.subtract(pictures[:, :, 2:], bent, out=bent)
    bent += pictures[:, :, :-2]
    return float(np.abs(bent, out=bent).mean())


def _resized(picture: FloatArray, side: int) -> FloatArray:
    """A picture (H, W) as side × side, each pixel the mean of what it covers."""
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=cv2.INTER_AREA), np.float32)
