"""Brightness and contrast about the display range."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corrupt.scale import display, per_channel, stored
from insula.core.types import Volume

_SHIFTS: Final = (0.02, 0.05, 0.1, 0.2, 0.3)
_FACTORS: Final = (0.05, 0.1, 0.2, 0.3, 0.5)
_SHIFT_WHY: Final = (
    "4 HU of a CT: water may read up to 7 HU from 0 (ACR CT accreditation; McCollough et al., Medical Physics 31:2423, "
    "2004), and 5 HU is the tolerance of AAPM's Task Group 142"
)
_FACTOR_WHY: Final = (
    "half of the 22% by which grey and white matter gain contrast from 120 to 100 kV (7.1 to 8.7 HU; Nakamura et al., "
    "Advances in Computed Tomography 8(2), 2019)"
)


def brighter(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Add this share of the display range: of 80 HU for a CT."""
    return _changed(volume, strength, 1.0)


def darker(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Take this share of the display range away: of 80 HU for a CT."""
    return _changed(volume, -strength, 1.0)


def more_contrast(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Stretch values from the middle of the display range (40 HU for a CT) by 1 + strength."""
    return _changed(volume, 0.0, 1.0 + strength)


def less_contrast(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Squeeze values towards the middle of the display range (40 HU for a CT) by 1 − strength."""
    return _changed(volume, 0.0, 1.0 - strength)


def _changed(volume: Volume, shift: float, factor: float) -> Volume:
    low, high = display(volume)
    middle = (low + high) / 2
    offset = middle * (1.0 - factor) + shift * (high - low)
    out = volume.array * np.float32(factor)
    out += per_channel(offset)
    return replace(volume, array=stored(volume, out))


BRIGHTER: Final = Corruption(
    "brighter", "Brighter", "share of the display range", _SHIFTS, 2, _SHIFT_WHY, brighter, asked="+30%, 24 HU of a CT"
)
DARKER: Final = Corruption(
    "darker", "Darker", "share of the display range", _SHIFTS, 2, _SHIFT_WHY, darker, asked="−30%, 24 HU of a CT"
)
MORE_CONTRAST: Final = Corruption(
    "more_contrast", "More contrast", "gain less 1", _FACTORS, 2, _FACTOR_WHY, more_contrast, asked="+50%"
)
LESS_CONTRAST: Final = Corruption(
    "less_contrast", "Less contrast", "1 less the gain", _FACTORS, 2, _FACTOR_WHY, less_contrast, asked="−50%"
)
