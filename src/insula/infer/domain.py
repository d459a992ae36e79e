"""How unlike the training scans an embedding is: Mahalanobis' distance (Lee et al., NeurIPS 2018), and the distance to
the nearest training embeddings (Sun et al., ICML 2022). What a whole scan makes of them: `infer.domain_scale`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import EvaluationError

ROWS: Final = 2000
NEIGHBOUR: Final = 5
_STRIP: Final = 128  # rows at a time


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
    return float(np.sqrt(max(0.0, _square(np.asarray(embedding, np.float64) - mean, precision))))


def median_distance(
    embeddings: NDArray[np.floating], mean: NDArray[np.float64], precision: NDArray[np.float64]
) -> float:
    """The median distance of a case's inputs (n, E): the baseline knows single inputs, a mean of many lies nearer."""
    if len(embeddings) == 1:
        return distance(embeddings[0], mean, precision)
    offsets = np.asarray(embeddings, np.float64) - mean
    squares = np.einsum("ne,ne->n", offsets @ precision, offsets)
    return float(np.median(np.sqrt(np.maximum(0.0, squares))))


def neighbours(embeddings: NDArray[np.floating]) -> NDArray[np.float16]:
    """Training embeddings (n, E) as directions of length 1, at most 2,000 of them, spread evenly over all."""
    kept = embeddings if len(embeddings) <= ROWS else embeddings[np.linspace(0, len(embeddings) - 1, ROWS).astype(int)]
    return _directions(kept).astype(np.float16)


def neighbour_distance(embeddings: NDArray[np.floating], rows: NDArray[np.floating]) -> float:
    """The median over a case's inputs (n, E) of the distance to the fifth nearest of rows (R, E), of length 1.

    Between directions, so that it lies between 0 and 2; with fewer than five rows the farthest of them counts.
    """
    cosine = _directions(embeddings) @ np.asarray(rows, np.float32).T
    k = min(NEIGHBOUR, cosine.shape[1])
    nearest = np.partition(cosine, -k, axis=1)[:, -k]
    return float(np.median(np.sqrt(np.maximum(0.0, 2.0 - 2.0 * nearest.astype(np.float64)))))


def score(distance: float, distances: NDArray[np.float64]) -> float:
    """The fraction of validation distances (rising) that are at most this one: 0 typical, 1 beyond all."""
    return float(np.searchsorted(distances, distance, side="right")) / len(distances)


def _square(offset: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """xᵀ P x of an offset (E,) and a symmetric P (E, E), of which the half on and above the diagonal's blocks is read.

    What takes time here is the matrix's way from memory: of 2,048 features it has 32 MB.
    """
    found, doubled = 0.0, 2.0 * offset
    for start in range(0, len(offset), _STRIP):
        rows = slice(start, start + _STRIP)
        doubled[rows] = offset[rows]  # beside the diagonal each value stands for two
        found += float(offset[rows] @ (precision[rows, start:] @ doubled[start:]))
    return found


def _directions(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    x = np.asarray(embeddings, np.float32)
    scaled: NDArray[np.float32] = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return scaled
