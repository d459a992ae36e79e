"""From logits to probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.core.recipe_target import EXCLUSIVE, Kind

__all__ = ["Kind", "exclusive", "from_logits"]


def exclusive(kind: Kind) -> bool:
    """Whether exactly one class is true; EvaluationError for a kind that has no classes."""
    if kind not in (*EXCLUSIVE, "multilabel"):
        raise EvaluationError(f"A {kind} target has no classes and so no probabilities; judge its numbers instead.")
    return kind in EXCLUSIVE


def from_logits(logits: ArrayLike, temperature: float, kind: Kind) -> NDArray[np.float64]:
    """Probabilities (..., K) of logits (..., K) divided by the temperature.

    Softmax over the last axis for exclusive classes, a sigmoid per label otherwise. Raises EvaluationError for a
    temperature that is not above 0.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise EvaluationError(
            f"The temperature is {temperature}; it must be above 0: fit it again on validation cases."
        )
    from scipy.special import expit, softmax  # not needed to start a service

    scaled = np.asarray(logits, dtype=np.float64) / temperature
    result: NDArray[np.float64] = softmax(scaled, axis=-1) if exclusive(kind) else expit(scaled)
    return result
