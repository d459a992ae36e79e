"""From slices, pictures or series to one answer per patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.metrics.probabilities import Kind
from insula.metrics.probabilities import exclusive as is_exclusive

How = Literal["mean", "max", "noisy_or", "majority", "learned"]
_POWERS = np.exp2(np.linspace(-4, 6, 41))


def aggregate(probabilities: ArrayLike, how: How, kind: Kind | None = None, power: float = 1.0) -> NDArray[np.float64]:
    """One row of probabilities (K,) from several (n, K); a single row comes back as it stands.

    mean: the average. max: the largest value per class. noisy_or: 1 − Π(1 − p), the chance of at least one if the rows
    were independent. majority: the share of rows that vote for the class; a row votes for its largest class where the
    rows are distributions over exclusive classes, and for each label with p ≥ 0.5 otherwise. learned: the power mean
    (mean of p^power)^(1/power), which is the mean at 1 and comes near the largest value as the power grows.
    For exclusive classes the result is scaled to sum to 1. Without a kind, rows that all sum to 1 are taken for them;
    say it where it is known, since sure answers to separate labels can sum to 1 too.
    Raises EvaluationError for no rows or an unknown way.
    """
    rows = np.asarray(probabilities, dtype=np.float64)
    if rows.ndim != 2 or len(rows) == 0:
        raise EvaluationError(f"Probabilities of shape {rows.shape} cannot be pooled; give at least one row (n, K).")
    if how not in ("mean", "max", "noisy_or", "majority", "learned"):
        raise EvaluationError(f"There is no pooling '{how}'; write mean, max, noisy_or, majority or learned.")
    if len(rows) == 1:
        only: NDArray[np.float64] = rows[0].copy()
        return only
    exclusive = is_exclusive(kind) if kind else bool(np.allclose(rows.sum(axis=1), 1.0, atol=1e-4))
    pooled: NDArray[np.float64]
    if how == "mean" or (how == "learned" and power == 1.0):
        pooled = rows.mean(axis=0)
    elif how == "max":
        pooled = rows.max(axis=0)
    elif how == "noisy_or":
        pooled = -np.expm1(np.log1p(-np.clip(rows, 0.0, 1.0 - 1e-12)).sum(axis=0))
    elif how == "learned":
        logs = np.log(np.clip(rows, 1e-300, 1.0))
        pooled = np.exp((np.logaddexp.reduce(power * logs, axis=0) - np.log(len(rows))) / power)
    else:
        votes = np.eye(rows.shape[1])[rows.argmax(axis=1)] if exclusive else rows >= 0.5
        pooled = votes.mean(axis=0)
    return pooled / pooled.sum() if exclusive else pooled


def fit_power(probabilities: Sequence[ArrayLike], labels: ArrayLike, kind: Kind) -> float:
    """The power of `learned` that gives the least log loss over patients: 1/16 to 64, the mean's 1 among equals.

    probabilities: (n, K) of each patient's inputs. labels: (patients, K) bool. It is one number, so that a few
    validation patients can carry it; where each has one input there is nothing to learn, and it is 1.
    """
    truth = np.asarray(labels, dtype=bool)
    if len(probabilities) != len(truth) or truth.ndim != 2:
        raise EvaluationError(f"Labels {truth.shape} and {len(probabilities)} patients must be equal lists with rows.")
    if all(len(np.asarray(rows)) == 1 for rows in probabilities):
        return 1.0
    best, lowest = 1.0, _loss(probabilities, truth, kind, 1.0)
    for power in _POWERS:
        loss = _loss(probabilities, truth, kind, float(power))
        if loss < lowest - 1e-12:
            best, lowest = float(power), loss
    return best


def _loss(probabilities: Sequence[ArrayLike], truth: NDArray[np.bool_], kind: Kind, power: float) -> float:
    p = np.clip(np.stack([aggregate(rows, "learned", kind, power) for rows in probabilities]), 1e-7, 1 - 1e-7)
    if is_exclusive(kind):
        return float(-np.log(p[truth]).mean())
    return float(-np.where(truth, np.log(p), np.log1p(-p)).mean())
