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
    total = sum(len(bag) for bag in bags)
    wanted = np.unique(np.linspace(0, total - 1, SLICES).round().astype(int))
    starts = np.cumsum([0, *(len(bag) for bag in bags)])
    owner = np.searchsorted(starts, wanted, side="right") - 1
    chosen = np.stack([bags[b][i - starts[b]] for b, i in zip(owner, wanted, strict=True)])
    grey = chosen.mean(axis=1, dtype=np.float32)
    small = np.stack([_resized(picture, _SMALL) for picture in grey])
    layout = np.stack([_resized(picture, _LAYOUT) for picture in small]).mean(axis=0)
    ring = np.ones((_SMALL, _SMALL), bool)
    ring[2:-2, 2:-2] = False
    quarter = _SMALL // 4
    numbers = [
        *chosen.mean(axis=(0, 2, 3), dtype=np.float64),
        *chosen.std(axis=(0, 2, 3), dtype=np.float64),
        *np.quantile(small, _QUANTILES),
        (small <= 0.02).mean(),
        (small >= 0.98).mean(),
        _edges(grey),
        _edges(small),
        np.abs(grey[:, :, 2:] - 2.0 * grey[:, :, 1:-1] + grey[:, :, :-2]).mean() if grey.shape[2] > 2 else 0.0,
        np.abs(small - small[:, :, ::-1]).mean(),
        np.abs(small - small[:, ::-1]).mean(),
        small[:, : _SMALL // 2].mean() - small[:, _SMALL // 2 :].mean(),
        small[:, ring].mean(),
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


def _edges(pictures: FloatArray) -> float:
    """Mean absolute difference of neighbours, down and across."""
    down, across = np.abs(np.diff(pictures, axis=1)), np.abs(np.diff(pictures, axis=2))
    return float(down.mean()) + float(across.mean())


def _resized(picture: FloatArray, side: int) -> FloatArray:
    """A picture (H, W) as side × side, each pixel the mean of what it covers."""
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=cv2.INTER_AREA), np.float32)
