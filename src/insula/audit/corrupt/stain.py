"""Another laboratory's stain: the optical density of each colour changed by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corrupt.scale import per_channel, stored
from insula.core.types import Volume


def stain(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Multiply the optical density of each colour channel, −log(value / white), by 1 + strength or 1 − strength.

    One channel at least goes up and one goes down, so that the colour changes and not the thickness alone. White stays
    white (Beer and Lambert).
    """
    signs = np.array([1.0, -1.0, rng.choice((-1.0, 1.0))])[: len(volume.array)]
    powers = 1.0 + strength * rng.permutation(signs)
    white = np.float32(volume.full_scale or max(float(volume.array.max()), 1.0))
    share = np.clip(volume.array / white, 0.0, 1.0)
    return replace(volume, array=stored(volume, white * share ** per_channel(powers)))


STAIN: Final = Corruption(
    name="stain",
    title="Stain",
    unit="share of the optical density",
    strengths=(0.05, 0.1, 0.2, 0.3, 0.5),
    everyday=2,
    why="laboratories differ by more than scanners do; a tenth is chosen here, without a source",
    change=stain,
    modalities=("SM", "OT"),
    units=("RGB",),
)
