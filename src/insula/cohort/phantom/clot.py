"""Made pictures of stained clots.

Clots from the heart (CE) are drawn rich in fibrin, platelets and white cells, in layers; clots from a large artery
(LAA) rich in red cells. That is this phantom's assumption, so that there is something to learn; it is no claim about
real clots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

RED_CELLS = np.array([196, 58, 74], np.float32)
FIBRIN = np.array([226, 158, 190], np.float32)
NUCLEI = np.array([78, 52, 138], np.float32)
GLASS = np.array([243, 240, 243], np.float32)


def clot(kind: str, size: int, g: np.random.Generator) -> NDArray[np.uint8]:
    """An RGB picture (size, size, 3) of one piece of a clot, `CE` or `LAA`."""
    return clot_with_mask(kind, size, g)[0]


def clot_with_mask(kind: str, size: int, g: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An RGB picture (size, size, 3) of one piece of a clot, and where in it there is tissue (size, size)."""
    cardiac = kind == "CE"
    share = float(np.clip(g.normal(0.34 if cardiac else 0.66, 0.09), 0.08, 0.92))
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    outline = np.hypot(x * g.uniform(0.9, 1.15), y * g.uniform(0.9, 1.15)) + 0.1 * _noise(g, size, 0.12)
    inside = outline < 0.42
    bands = np.sin((x * np.cos(t := g.uniform(0, np.pi)) + y * np.sin(t)) * 60 + 2.5 * _noise(g, size, 0.08))
    mix = _noise(g, size, 0.05 if cardiac else 0.09) + (0.9 * bands if cardiac else 0.15 * bands)
    red = mix < np.quantile(mix[inside], share)
    grain = 0.06 * _noise(g, size, 0.006)[..., None]
    picture = np.where(red[..., None], RED_CELLS, FIBRIN) * (1.0 + grain)
    density = float(np.clip(g.normal(0.020 if cardiac else 0.009, 0.003), 0.002, 0.04))
    spots = _noise(g, size, 1.1 / size)
    nuclei = spots > np.quantile(spots, 1.0 - density)
    picture = np.where(
        (nuclei & ~red)[..., None] | (nuclei & (g.random((size, size)) < 0.4))[..., None], NUCLEI, picture
    )
    cracks = np.abs(_noise(g, size, 0.06)) < 0.035
    picture = np.where((~inside | cracks)[..., None], GLASS, picture)
    stain = g.normal(1.0, 0.035, 3).astype(np.float32)
    picture = gaussian_filter(picture * stain, (0.6, 0.6, 0)) + g.normal(0, 2.0, picture.shape)
    shown: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return shown, inside & ~cracks


def _noise(g: np.random.Generator, size: int, smooth: float) -> NDArray[np.float32]:
    """Smooth noise of unit variance; `smooth` is a share of the picture's side."""
    field = gaussian_filter(g.standard_normal((size, size)).astype(np.float32), smooth * size, mode="wrap")
    out: NDArray[np.float32] = field / field.std()
    return out
