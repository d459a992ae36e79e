"""What an MR scanner adds: a coil's bias field, and ghosts of what is not measured alike in every line."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corrupt.scale import stored
from insula.core.types import FloatArray, Volume

_ORDER: Final = 3


def bias_field(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Multiply by a smooth field that runs from 1 − strength/2 to 1 + strength/2 over the scan.

    A polynomial of third order in all three directions with random coefficients (cf. Van Leemput et al., IEEE
    Transactions on Medical Imaging 18:885, 1999). The range is BrainWeb's measure of non-uniformity.
    """
    axes = [np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1) for n in volume.array.shape[1:]]
    field = np.zeros(volume.array.shape[1:])
    for powers in product(range(_ORDER + 1), repeat=3):
        if 0 < sum(powers) <= _ORDER:
            z, y, x = (axis**power for axis, power in zip(axes, powers, strict=True))
            field += rng.uniform(-1.0, 1.0) * z[:, None, None] * y[:, None] * x
    low, high = float(field.min()), float(field.max())
    even = (field - low) / (high - low) - 0.5 if high > low else field * 0.0
    gain: FloatArray = (1.0 + strength * even).astype(np.float32)
    return replace(volume, array=stored(volume, volume.array * gain))


def ghosting(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Add two ghosts, this share of the picture each, moved up and down or to both sides along the measured lines.

    A change from line to line that comes back every few lines (breathing, pulsation) copies the picture; by how far is
    drawn from an eighth to three eighths of the side. Over a phantom the share is the ghosting ratio of the ACR.
    """
    axis = 2 if rng.random() < 0.5 else 3
    side = volume.array.shape[axis]
    by = int(rng.integers(max(1, side // 8), max(2, 3 * side // 8)))
    copies = np.roll(volume.array, by, axis) + np.roll(volume.array, -by, axis)
    return replace(volume, array=stored(volume, volume.array + np.float32(strength) * copies))


BIAS_FIELD: Final = Corruption(
    name="bias_field",
    title="Bias field",
    unit="range of the gain",
    strengths=(0.1, 0.2, 0.4, 0.6, 0.8),
    everyday=2,
    why="BrainWeb simulates 20% and 40% as typical (Cocosco et al., NeuroImage 5:S425, 1997); a head coil must be "
    "uniform to 87.5% at 1.5 T and 82% at 3 T (ACR), a range of 0.25 and 0.36",
    change=bias_field,
    modalities=("MR",),
    units=("a.u.", "RGB"),
)
GHOSTING: Final = Corruption(
    name="ghosting",
    title="Ghosts",
    unit="share of the signal",
    strengths=(0.01, 0.025, 0.05, 0.1, 0.2),
    everyday=2,
    why="2.5% is the most that the ACR accepts of a scanner",
    change=ghosting,
    modalities=("MR",),
    units=("a.u.", "RGB"),
)
