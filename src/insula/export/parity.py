"""Does the exported graph equal the trained network? Asked on real prepared cases, refused beyond 1e-4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from insula.core.errors import ExportError
from insula.core.labels import clinical
from insula.core.recipe import Recipe
from insula.core.types import Case
from insula.infer.engine import Engine
from insula.infer.feed import of_case
from insula.model.ensemble import Ensemble
from insula.model.network import Network
from insula.prep.cache import Prepared

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Parity:
    """The largest difference seen in logits and in class maps, over how many cases."""

    cases: int
    logits: float
    maps: float


def check(
    network: Network | Ensemble,
    engine: Engine,
    cases: Sequence[Case],
    prepared: Mapping[str, Prepared],
    recipe: Recipe,
    limit: int = 100,
) -> Parity:
    """Compare up to `limit` cases; ExportError names the worst when a column or a map cell differs by over 1e-4.

    Values are compared relative to the largest of the case where that is above 1: log probabilities, measures and maps
    grow beyond any fixed scale.
    """
    worst_logit = worst_map = 0.0
    chosen = cases[:: max(1, len(cases) // limit)][:limit]
    for i, case in enumerate(chosen):
        views = {role: bags for role in recipe.inputs if (bags := prepared[role].arrays(case))}
        if not views:
            continue
        feed = of_case(views, clinical(case.attributes, recipe.clinical), engine.input_shapes, recipe)
        if recipe.input.unit == "image" and not recipe.fused:
            feed = {name: array[:8] for name, array in feed.items()}
        given = {name: torch.from_numpy(np.array(array)) for name, array in feed.items()}
        with torch.no_grad():
            ours = network.explain(
                {role: given[role] for role in recipe.inputs},
                {role: given[f"{role}_mask"] for role in recipe.inputs},
                given.get("clinical"),
            )
        theirs = engine.run(feed)
        logit = _apart(ours.logits.numpy(), theirs.logits)
        cell = max(_apart(ours.maps[role].numpy(), theirs.maps[role]) for role in recipe.inputs)
        worst_logit, worst_map = max(worst_logit, logit), max(worst_map, cell)
        if not logit <= TOLERANCE or not cell <= TOLERANCE:
            raise ExportError(
                f"The exported graph differs from the trained network by {logit:.2g} in a logit and {cell:.2g} in a "
                f"class map on case {i + 1} of {len(chosen)} (limit {TOLERANCE:g}); the bundle was not written."
            )
    return Parity(len(chosen), worst_logit, worst_map)


def _apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(ours).max())))
