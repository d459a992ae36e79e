"""What a picture shows, as numbers: how much brighter and how much more coloured its left half is than its right."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Sides:
    """Left half less right half, in grey levels of 255: brightness, and colour (largest less smallest channel)."""

    bright: float
    colour: float


def pixels(data: bytes) -> NDArray[np.float64]:
    """(H, W, 3) of a picture file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64)


def sides(shown: NDArray[np.float64]) -> Sides:
    """Of a picture (H, W, 3) whose middle is the patient's middle; a middle column counts for neither half."""
    half = shown.shape[1] // 2
    left, right = shown[:, :half], shown[:, -half:]
    return Sides(_bright(left) - _bright(right), _colour(left) - _colour(right))


def head_of(shown: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a picture that the head fills: from the first to the last column and row that hold bone.

    What stands beside it on a dark ground (marks, a colour bar, words) is thinner than bone is wide and is left out.
    """
    bone = shown.min(axis=2) > 235
    columns, rows = np.flatnonzero(bone.mean(axis=0) > 0.04), np.flatnonzero(bone.mean(axis=1) > 0.04)
    assert len(columns), "the picture shows no head"
    return shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _bright(part: NDArray[np.float64]) -> float:
    return float(part.mean())


def _colour(part: NDArray[np.float64]) -> float:
    return float((part.max(axis=2) - part.min(axis=2)).mean())
