"""From slices, pictures or series to one answer per patient."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.metrics.probabilities import Kind
from insula.metrics.probabilities import exclusive as is_exclusive

How = Literal["mean", "max", "noisy_or", "majority"]


def aggregate(probabilities: ArrayLike, how: How, kind: Kind | None = None) -> NDArray[np.float64]:
    """One row of probabilities (K,) from several (n, K); a single row comes back as it stands.

    mean: the average. max: the largest value per class. noisy_or: 1 − Π(1 − p), the chance of at least one if the rows
    were independent. majority: the share of rows that vote for the class; a row votes for its largest class where the
    rows are distributions over exclusive classes, and for each label with p ≥ 0.5 otherwise.
    For exclusive classes the result is scaled to sum to 1. Without a kind, rows that all sum to 1 are taken for them;
    say it where it is known, since sure answers to separate labels can sum to 1 too.
    Raises EvaluationError for no rows or an unknown way.
    """
    rows = np.asarray(probabilities, dtype=np.float64)
    if rows.ndim != 2 or len(rows) == 0:
        raise EvaluationError(f"Probabilities of shape {rows.shape} cannot be pooled; give at least one row (n, K).")
    if how not in ("mean", "max", "noisy_or", "majority"):
        raise EvaluationError(f"There is no pooling '{how}'; write mean, max, noisy_or or majority.")
    if len(rows) == 1:
        only: NDArray[np.float64] = rows[0].copy()
        return only
    exclusive = is_exclusive(kind) if kind else bool(np.allclose(rows.sum(axis=1), 1.0, atol=1e-4))
    pooled: NDArray[np.float64]
    if how == "mean":
        pooled = rows.mean(axis=0)
    elif how == "max":
        pooled = rows.max(axis=0)
    elif how == "noisy_or":
        pooled = -np.expm1(np.log1p(-np.clip(rows, 0.0, 1.0 - 1e-12)).sum(axis=0))
    else:
        votes = np.eye(rows.shape[1])[rows.argmax(axis=1)] if exclusive else rows >= 0.5
        pooled = votes.mean(axis=0)
    return pooled / pooled.sum() if exclusive else pooled
