"""Lossy compression, as an archive or a teaching file stores pictures: JPEG with 8 bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corrupt.scale import per_channel, stored, wide
from insula.core.types import FloatArray, Volume
from insula.scans import threads


def jpeg(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Write each slice as JPEG with 8 bits and this quality less than 100, and read it again.

    The 8 bits span −160 to 240 HU of a CT, a picture's full scale, or all values of an MR channel. What lies beyond
    them, as air and bone, is put back unchanged, so that the loss is that of the compression alone. Colour is stored
    as encoders do by default, with half the resolution.
    """
    low, high = (per_channel(end) for end in wide(volume))
    span = np.where(high > low, high - low, np.float32(1.0))
    inside = np.clip(volume.array, low, high)
    levels = np.rint((inside - low) * (np.float32(255.0) / span)).astype(np.uint8)
    out = np.empty_like(volume.array)
    quality = round(100 - strength)
    colour = volume.units == "RGB" and len(levels) == 3

    def one(z: int) -> None:
        if colour:
            out[:, z] = decoded(encoded(levels[::-1, z].transpose(1, 2, 0), quality)).transpose(2, 0, 1)[::-1]
            return
        for c in range(len(levels)):
            out[c, z] = decoded(encoded(levels[c, z], quality))

    threads.each(one, range(levels.shape[1]))
    back: FloatArray = (out * (span / np.float32(255.0)) + low).astype(np.float32)
    back += volume.array - inside
    return replace(volume, array=stored(volume, back))


def encoded(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """A picture (Y, X) or (Y, X, 3) in the order blue, green, red as the bytes of a JPEG file."""
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(picture), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(data, np.uint8)


def decoded(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture in the bytes of a JPEG file."""
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


JPEG: Final = Corruption(
    name="jpeg",
    title="JPEG",
    unit="100 less the quality",
    strengths=(10.0, 25.0, 50.0, 70.0, 90.0),
    everyday=2,
    why="quality 75 is what common encoders take by default, and slide scanners take 70 to 80 (Hamamatsu 80)",
    change=jpeg,
)
