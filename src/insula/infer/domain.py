"""How unlike the training scans a scan is, by the Mahalanobis distance of its embedding (Lee et al., NeurIPS 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import EvaluationError


def baseline(embeddings: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (E,) and precision (E, E) of training embeddings (n, E), the covariance shrunk as Ledoit and Wolf (2004).

    A little of the mean variance is added to the diagonal, so that features that never vary keep a finite precision.
    Raises EvaluationError for fewer than two embeddings.
    """
    from sklearn.covariance import ledoit_wolf

    x = np.asarray(embeddings, np.float64)
    if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
        raise EvaluationError(f"Embeddings of shape {x.shape} give no baseline; give at least two finite rows.")
    mean = x.mean(axis=0)
    covariance, _ = ledoit_wolf(x - mean, assume_centered=True)
    ridge = 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    return mean, (precision + precision.T) / 2


def distance(embedding: NDArray[np.floating], mean: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Mahalanobis distance √((x-μ)ᵀ P (x-μ)) of one embedding (E,)."""
    offset = np.asarray(embedding, np.float64) - mean
    return float(np.sqrt(max(0.0, float(offset @ precision @ offset))))


def median_distance(
    embeddings: NDArray[np.floating], mean: NDArray[np.float64], precision: NDArray[np.float64]
) -> float:
    """The median distance of a case's inputs (n, E): the baseline knows single inputs, a mean of many lies nearer."""
    return float(np.median([distance(row, mean, precision) for row in embeddings]))


def score(distance: float, distances: NDArray[np.float64]) -> float:
    """The fraction of validation distances (rising) that are at most this one: 0 typical, 1 beyond all."""
    return float(np.searchsorted(distances, distance, side="right")) / len(distances)
