"""A scan made ready for whatever looks for things on it; each part is made when it is asked for, and once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from insula.cohort.shown import grey
from insula.core.errors import InsulaError
from insula.core.types import FloatArray, Volume
from insula.prep.brain import brain_mask
from insula.prep.head import head_mask

Mask = NDArray[np.bool_]
APART_MM = 5.0  # of a mark from the head, and of the inside of a head from its skin
_WINDOW = (-1000.0, 1500.0)  # HU


@dataclass(frozen=True, eq=False)
class Sight:
    """One scan as it is looked at; all masks are (Z, Y, X)."""

    volume: Volume

    @cached_property
    def shown(self) -> FloatArray:
        """The slices (Z, Y, X) in [0, 1]: HU from air to bone, others as `cohort.shown.grey` shows them."""
        made = np.stack([grey(self.volume, z, _WINDOW) for z in range(self.volume.array.shape[1])])
        made[np.isnan(made)] = 0.0
        return made

    @cached_property
    def head(self) -> Mask | None:
        """The head with what it encloses in each slice; None where nothing stands out from the background."""
        try:
            found = head_mask(self.volume)
        except InsulaError:
            return None
        return np.stack([binary_fill_holes(plane) for plane in found])

    @cached_property
    def brain(self) -> Mask | None:
        """What the skull of a CT in Hounsfield units encloses; None where it is none, or nothing is enclosed."""
        try:
            return brain_mask(self.volume) if self.volume.units == "HU" else None
        except InsulaError:
            return None

    @cached_property
    def inside(self) -> Mask | None:
        """The brain, or the head without its rim where none is known."""
        if self.brain is not None:
            return self.brain
        return None if self.head is None else shrunk(self.head, self.volume, APART_MM)

    def found(self, finder: Callable[[Sight], Mask]) -> Mask:
        """What a finder finds, looked for once."""
        if finder not in self._found:
            self._found[finder] = finder(self)
        return self._found[finder]

    @cached_property
    def _found(self) -> dict[Callable[[Sight], Mask], Mask]:
        return {}


def shrunk(mask: Mask, volume: Volume, by: float) -> Mask:
    """A mask without what lies within so many mm of its rim in each slice."""
    return ~wider(~mask, pixels(volume, by))


def wider(mask: Mask, reach: float) -> Mask:
    """A mask with what lies within so many pixels of it in each slice."""
    return np.stack([cv2.distanceTransform((~plane).astype(np.uint8), cv2.DIST_L2, 5) <= reach for plane in mask])


def pixels(volume: Volume, mm: float) -> int:
    """Pixels of a slice that so many millimetres are, at least 1."""
    rows, columns = volume.array.shape[2:]
    wanted = round(mm / max(sum(volume.spacing[:2]) / 2, 1e-3))
    return int(max(1, min(wanted, rows, columns)))
