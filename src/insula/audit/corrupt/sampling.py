"""Coarser pixels: a smaller matrix, or a picture that was stored small and shown large."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corrupt.scale import each_plane, pixel_mm, stored
from insula.core.types import FloatArray, Volume


def coarser(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Average each slice over pixels of this many millimetres and interpolate back to the old ones.

    A side whose pixels are as coarse already stays as it is.
    """
    rows, columns = volume.array.shape[2:]
    y, x = pixel_mm(volume)
    small = tuple(max(1, round(n * min(1.0, mm / strength))) for n, mm in ((rows, y), (columns, x)))
    if small == (rows, columns):
        return volume

    def one(plane: FloatArray) -> FloatArray:
        less = cv2.resize(plane, small[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(less, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)

    return replace(volume, array=stored(volume, each_plane(volume, one)))


RESAMPLE: Final = Corruption(
    name="resample",
    title="Coarser pixels",
    unit="mm a pixel",
    strengths=(0.7, 1.0, 2.0, 3.0, 5.0),
    everyday=2,
    why="a matrix of 256 over the 240 mm of a head has pixels of 0.94 mm, one of 512 half of that",
    change=coarser,
)
