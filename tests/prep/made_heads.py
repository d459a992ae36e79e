"""Made head CTs with the truth of what lies inside the skull."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula.cohort.phantom import ct, lesions
from insula.cohort.phantom.patients import head_ct
from insula.core.types import Volume

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MadeHead:
    """A CT, what lies inside the skull, its lesion, and what the scan is like."""

    volume: Volume
    inside: Mask
    lesion: Mask
    kind: str
    tilted: bool
    scanner: str
    atrophy: float


def made_head(number: int, size: int = 192, slices: int = 24, kind: str | None = None, seed: int = 5) -> MadeHead:
    """Patient `number`: every third one tilted, the five haemorrhages in turn, every seventh one without."""
    tilted = number % 3 == 0
    person, place, head, scanner, g = head_ct(seed, number, size, slices, tilted)
    chosen = kind or ("" if number % 7 == 6 else lesions.HAEMORRHAGES[number % 5])
    found = [lesions.haemorrhage(head, chosen, g)] if chosen else []
    hu = ct.hounsfield(head, place, found, scanner, g)
    mask = found[0].mask if found else np.zeros(hu.shape, bool)
    volume = Volume(hu[None], place.affine, "HU", "CT", "made")
    return MadeHead(volume, head.depth > 0, mask, chosen, tilted, scanner.model, person.atrophy)


def dice(a: Mask, b: Mask) -> float:
    """2|A∩B| / (|A|+|B|)."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))
