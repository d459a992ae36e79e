"""256-bit codes of pictures, made so that copies agree: recompressed, rescaled, brightened, flipped, turned, cropped.

A code is the signs of the low cosine frequencies of a picture's detail about their medians (after the perceptual hash
of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010). Detail is the picture less its
blurred self, evened over strong and weak places, so that brightness and contrast do not count. A copy that is flipped,
turned or cropped has another code; a picture is therefore asked for under each of `LOOKS`, its code as if it had been
flipped, turned or cropped in that way. All of them come from one small map of detail, by matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BITS = 256
_SIDE = 64  # of the picture whose detail is taken
_MAP = 32
_LOW = 16
_FINE, _LOCAL, _FAINT = 4.0, 6.0, 0.02  # pixels of 64: what is detail, over what it is evened; detail that stays weak
_FOR_MEDIANS = 4096

Codes = NDArray[np.uint64]


@dataclass(frozen=True)
class Look:
    """How a picture is looked at: mirrored left to right, then turned by quarter turns, then cropped.

    crop: left edge, top edge and side of the part that is kept, in shares of the picture.
    """

    mirrored: bool = False
    turns: int = 0
    crop: tuple[float, float, float] = (0.0, 0.0, 1.0)

    @property
    def words(self) -> str:
        """What was done, for people; empty for nothing."""
        said = []
        if self.turns == 2 and self.mirrored:
            said.append("mirrored top to bottom")
        else:
            if self.mirrored:
                said.append("mirrored")
            if self.turns:
                said.append(f"turned by {90 * self.turns}°")
        if self.crop[2] < 1.0:
            said.append("cropped")
        return ", ".join(said)


_CROPS = (*((0.05 * x, 0.05 * y, 0.95) for y in (0, 0.5, 1) for x in (0, 0.5, 1)), (0.05, 0.05, 0.9))
_FLIPS = tuple(Look(mirrored, turns) for turns in range(4) for mirrored in (False, True))
LOOKS: tuple[Look, ...] = _FLIPS + tuple(Look(mirrored, 0, crop) for mirrored in (False, True) for crop in _CROPS)


def details(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Maps of detail (N, 32, 32) of thumbnails uint8 (N, H, W)."""
    made = np.empty((len(thumbnails), _MAP, _MAP), dtype=np.float32)
    for number, thumbnail in enumerate(thumbnails):
        small = cv2.resize(np.asarray(thumbnail), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        grey = small.astype(np.float32) / 255.0
        fine = grey - cv2.GaussianBlur(grey, (0, 0), _FINE)
        even = fine / (np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), _LOCAL)) + _FAINT)
        made[number] = cv2.resize(even, (_MAP, _MAP), interpolation=cv2.INTER_AREA)
    return made


def medians(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The median (256,) of each frequency over up to 4,096 of the pictures: bits about it are evenly 0 and 1."""
    chosen = thumbnails[:: max(1, len(thumbnails) // _FOR_MEDIANS)]
    return np.asarray(np.median(_frequencies(details(chosen), Look()), axis=0), dtype=np.float32)


def codes(maps: NDArray[np.float32], about: NDArray[np.float32], look: Look = Look()) -> Codes:
    """Codes (N, 4) of maps of detail (N, 32, 32) under one look; about: as `medians` gives it."""
    bits = (_frequencies(maps, look) > about)[:, _ORDER]
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64)


def _frequencies(maps: NDArray[np.float32], look: Look) -> NDArray[np.float32]:
    x, y, side = look.crop
    seen = np.rot90(maps[:, :, ::-1] if look.mirrored else maps, look.turns, axes=(1, 2))
    rows, columns = _cosines(y, side), _cosines(x, side)
    return np.asarray(rows @ seen @ columns.T, dtype=np.float32).reshape(len(maps), BITS)


def _cosines(start: float, side: float) -> NDArray[np.float32]:
    """The 16 lowest cosines (16, 32) over the part [start, start + side] of the unit interval, 0 outside of it."""
    centres = (np.arange(_MAP) + 0.5) / _MAP
    half = 0.5 / _MAP
    covered = np.clip(np.minimum(centres + half - start, start + side - centres + half) * _MAP, 0.0, 1.0)
    inside = np.clip((centres - start) / side, 0.0, 1.0)
    waves = np.cos(np.pi * np.arange(_LOW)[:, None] * inside[None]) * covered[None] / (side * _MAP)
    return np.asarray(waves, dtype=np.float32)


# Bits are shuffled once for all, so that every 16-bit word of a code holds low and high frequencies alike.
_ORDER = np.random.default_rng(20).permutation(BITS)
