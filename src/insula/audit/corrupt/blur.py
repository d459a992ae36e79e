"""Blur: a wider point spread in the plane of the slices, as of a smoother kernel or a slide out of focus."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corrupt.scale import blurred, each_plane, pixel_mm, stored
from insula.core.types import Volume

_FWHM: Final = 2.3548  # of a Gaussian, in standard deviations: 2·√(2·ln 2)


def blur(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Convolve each slice with a Gaussian whose full width at half maximum is this many millimetres."""
    y, x = pixel_mm(volume)
    sigma = (strength / _FWHM / y, strength / _FWHM / x)
    return replace(volume, array=stored(volume, each_plane(volume, lambda plane: blurred(plane, sigma))))


BLUR: Final = Corruption(
    name="blur",
    title="Blur",
    unit="mm FWHM",
    strengths=(0.5, 1.0, 2.0, 2.8, 5.0),
    everyday=2,
    why="the point spread of a CT is about a Gaussian (Nickoloff and Riley, Medical Physics 12:437, 1985); 1 mm more "
    "makes that of a head kernel (about 1.1 mm) that of a smooth one (about 1.5 mm); widths chosen here",
    change=blur,
    asked="2.8 mm, a kernel of 5 pixels (standard deviation 1.1) at 224² over 240 mm",
)
