"""Cases that lie away from all others: by their nearest neighbours, and by Mahalanobis' distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula.infer import domain

NEIGHBOURS = domain.NEIGHBOUR
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Outlying:
    """neighbours (n,): mean distance between directions, 0 to 2, to the five nearest rows of other patients (NaN where
    there are none). mahalanobis (n,): from all rows together. order (n,): the farthest by either first.
    """

    neighbours: NDArray[np.float64]
    mahalanobis: NDArray[np.float64]
    order: NDArray[np.intp]


def of_rows(embeddings: NDArray[np.floating], z: NDArray[np.float32], patients: NDArray[np.str_]) -> Outlying:
    """Distances of n cases with embeddings and directions (n, E) from each other.

    Mean and covariance come from the rows themselves, shrunk as `infer.domain.baseline` does.
    """
    near = neighbour_distances(z, patients)
    mean, precision = domain.baseline(embeddings)
    offset = np.asarray(embeddings, np.float64) - mean
    far = np.sqrt(np.maximum(0.0, np.einsum("ne,ne->n", offset @ precision, offset)))
    ranks = np.stack([_ranks(near), _ranks(far)])
    order = np.lexsort((np.arange(len(far)), -ranks.sum(axis=0), -ranks.max(axis=0)))
    return Outlying(near, far, order)


def neighbour_distances(z: NDArray[np.float32], patients: NDArray[np.str_]) -> NDArray[np.float64]:
    """Mean distance (n,) of each direction to the five nearest of other patients (fewer where there are fewer)."""
    _, owner = np.unique(patients, return_inverse=True)
    found = np.full(len(z), np.nan)
    k = min(NEIGHBOURS, len(z))
    for start in range(0, len(z), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(z)))
        likeness = np.where(owner[part, None] == owner[None, :], -np.inf, z[part] @ z.T)
        best = -np.partition(-likeness, k - 1, axis=1)[:, :k]
        known = np.isfinite(best)
        distance = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * np.where(known, best, 1.0).astype(np.float64)))
        count = known.sum(axis=1)
        np.divide((distance * known).sum(axis=1), count, out=found[part], where=count > 0)
    return found


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 for the least to 1 for the largest; unknown values as the least."""
    known = np.where(np.isfinite(values), values, -np.inf)
    ranks: NDArray[np.float64] = np.argsort(np.argsort(known, kind="stable"), kind="stable") / max(1, len(values) - 1)
    return ranks
