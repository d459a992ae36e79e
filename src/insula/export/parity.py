"""Does the exported graph equal the trained network? Asked on real prepared cases, refused beyond 1e-4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from insula.core.errors import ExportError
from insula.infer.engine import Engine
from insula.model.network import Network
from insula.prep.cache import Prepared
from insula.train.data import Sample

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Parity:
    """The largest difference seen in logits and in class maps, over how many cases."""

    cases: int
    logits: float
    maps: float


def check(network: Network, engine: Engine, rows: Sequence[Sample], prepared: Prepared, limit: int = 100) -> Parity:
    """Compare up to `limit` cases; ExportError names the worst when a logit or a map cell differs by over 1e-4.

    Maps are compared relative to the largest cell of the case where that is above 1, since they grow with the logits.
    """
    worst_logit = worst_map = 0.0
    step = max(1, len(rows) // limit)
    chosen = rows[::step][:limit]
    for i, row in enumerate(chosen):
        x = np.array(prepared.slices[row.offset : row.offset + row.count])[None]
        mask = np.ones((1, row.count), np.float32)
        with torch.no_grad():
            ours = network.explain(torch.from_numpy(x), torch.from_numpy(mask))
        theirs = engine.run(x, mask)
        logit = float(np.abs(ours.logits.numpy() - theirs.logits).max())
        cell = float(np.abs(ours.maps.numpy() - theirs.maps).max() / max(1.0, float(ours.maps.max())))
        worst_logit, worst_map = max(worst_logit, logit), max(worst_map, cell)
        if not logit <= TOLERANCE or not cell <= TOLERANCE:
            raise ExportError(
                f"The exported graph differs from the trained network by {logit:.2g} in a logit and {cell:.2g} in a "
                f"class map on case {i + 1} of {len(chosen)} (limit {TOLERANCE:g}); the bundle was not written."
            )
    return Parity(len(chosen), worst_logit, worst_map)
