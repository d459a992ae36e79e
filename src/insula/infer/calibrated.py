"""Probabilities as a bundle means them: logits through what was fitted on validation cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.bundle.types import DecisionFacts
from insula.metrics import recalibrate
from insula.metrics.probabilities import Kind, from_logits


def probabilities(logits: ArrayLike, facts: DecisionFacts, kind: Kind) -> NDArray[np.float64]:
    """Probabilities (..., K) of the first target's logits (..., K): the temperature, then the recalibration if any."""
    scaled = from_logits(logits, facts.temperature, kind)
    return scaled if facts.recalibration is None else recalibrate.apply(facts.recalibration, scaled)
