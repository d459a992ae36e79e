"""The answers to a recipe's further targets: stage, survival, measures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from insula.bundle.types import FurtherFacts
from insula.core.recipe import Recipe, Target
from insula.core.types import Answer, FloatArray
from insula.metrics.aggregate import aggregate
from insula.metrics.probabilities import from_logits


def further(
    columns: FloatArray, sampled: FloatArray | None, recipe: Recipe, facts: Mapping[str, FurtherFacts]
) -> dict[str, Answer]:
    """An answer to each target beside the first.

    columns: (N, K) of all targets, of a case's N inputs. sampled: (passes, N, K) under dropout, for the spreads.
    """
    found = {}
    for name, target in recipe.further.items():
        part, known = recipe.columns(name), facts.get(name, FurtherFacts())
        values = _values(columns[:, part], target, known, recipe)
        spread = None
        if sampled is not None:
            each = np.stack([_values(one[:, part], target, known, recipe) for one in sampled])
            spread = each.std(axis=0).astype(np.float32)
        found[name] = Answer(name, target.kind, names(target), values.astype(np.float32), spread)
    return found


def names(target: Target) -> tuple[str, ...]:
    """What the values of an answer are called."""
    if target.kind == "survival":
        return ("log_hazard", *(f"event_free_{h:g}" for h in target.horizons))
    return ("value",) if target.kind == "regression" else target.classes


def survival(log_hazard: float, hazards: tuple[float, ...]) -> NDArray[np.float64]:
    """Probability to be free of the event at each horizon: exp(−H0(t)·exp(r)) (Cox 1972; H0 after Breslow)."""
    hazard = np.exp(min(log_hazard, 500.0))  # beyond is certainty as well, and would overflow
    chance: NDArray[np.float64] = np.exp(-np.asarray(hazards) * hazard)
    return chance


def _values(columns: FloatArray, target: Target, facts: FurtherFacts, recipe: Recipe) -> NDArray[np.float64]:
    if target.kind == "survival":
        log_hazard = float(columns[:, 0].mean(dtype=np.float64))
        hazards = facts.hazards or (float("nan"),) * len(target.horizons)
        return np.concatenate([[log_hazard], survival(log_hazard, hazards)])
    if target.kind == "regression":
        return np.array([columns[:, 0].mean(dtype=np.float64)])
    rows = from_logits(columns, facts.temperature, target.kind)
    return aggregate(rows, recipe.policy.aggregate, target.kind, facts.power)
