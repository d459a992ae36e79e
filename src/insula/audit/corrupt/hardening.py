"""What bone and metal do to a CT: values that sink towards the middle of the head, and streaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corrupt.scale import pixel_mm, stored
from insula.core.types import FloatArray, Volume

_SKIN: Final = -200.0  # HU, above air and most of a headrest
_DENSE: Final = 700.0  # HU, compact bone, teeth, metal
_FADE_MM: Final = 30.0
_ANGLES: Final = 360
_UNEVEN: Final = 0.25  # share of the angles that have a streak


def cupping(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Take up to this many HU away: all of it in the middle of the head, none at its rim, between by √(1 − (r/R)²).

    A hardened beam reads a chord too short by an amount that grows with its square, to second order; in a cylinder of
    radius R that is c·(R² − s²) for the ray at s, which is the projection of √(R² − r²). Middle and radius are those
    of what lies above −200 HU.
    """
    y, x = pixel_mm(volume)
    rows, columns = volume.array.shape[2:]
    seen = (volume.array[0] > _SKIN).mean(axis=0)
    weight = float(seen.sum())
    across, down = np.arange(columns) * x, np.arange(rows) * y
    if weight > 0:
        middle = float((seen.sum(axis=0) * across).sum()) / weight, float((seen.sum(axis=1) * down).sum()) / weight
        radius = max(float(np.sqrt(weight * x * y / np.pi)), x, y)
    else:
        middle, radius = (across[-1] / 2, down[-1] / 2), max(columns * x, rows * y) / 2
    r = ((down[:, None] - middle[1]) ** 2 + (across[None, :] - middle[0]) ** 2) / radius**2
    sunk: FloatArray = (strength * np.sqrt(np.clip(1.0 - r, 0.0, 1.0))).astype(np.float32)
    return replace(volume, array=stored(volume, volume.array - sunk))


def streaks(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Add bright and dark streaks of at most this many HU that fan out from one dense point of each slice.

    About a quarter of the angles has a streak; each falls to half its height at 30 mm. The point is drawn from what
    lies above 700 HU, or is the brightest one.
    """
    y, x = pixel_mm(volume)
    rows, columns = volume.array.shape[2:]
    out = volume.array.copy()
    down, across = np.arange(rows)[:, None] * y, np.arange(columns)[None, :] * x
    for z, plane in enumerate(volume.array[0]):
        dense = np.flatnonzero(plane > _DENSE)
        point = int(rng.choice(dense)) if len(dense) else int(plane.argmax())
        dy, dx = down - (point // columns) * y, across - (point % columns) * x
        angle = (np.arctan2(dy, dx) / np.pi % 1.0) * _ANGLES
        profile = np.where(rng.random(_ANGLES) < _UNEVEN, rng.uniform(-1.0, 1.0, _ANGLES), 0.0)
        largest = np.abs(profile).max()
        height = np.interp(angle, np.arange(_ANGLES + 1), np.append(profile, profile[0]))
        fade = strength / (largest or 1.0) / (1.0 + np.hypot(dy, dx) / _FADE_MM)
        out[:, z] += (height * fade).astype(np.float32)
    return replace(volume, array=stored(volume, out))


CUPPING: Final = Corruption(
    name="cupping",
    title="Beam hardening",
    unit="HU",
    strengths=(2.5, 5.0, 10.0, 20.0, 40.0),
    everyday=2,
    why="the middle and the rim of a uniform phantom may differ by 5 HU (ACR CT accreditation)",
    change=cupping,
    modalities=("CT",),
    units=("HU",),
)
STREAKS: Final = Corruption(
    name="streaks",
    title="Streaks",
    unit="HU",
    strengths=(5.0, 10.0, 20.0, 40.0, 80.0),
    everyday=2,
    why="about the contrast of grey and white matter (7 to 9 HU), as between the petrous bones; chosen here, without a "
    "source",
    change=streaks,
    modalities=("CT",),
    units=("HU",),
)
