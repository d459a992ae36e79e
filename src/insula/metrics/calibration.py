"""Do probabilities mean what they say: temperature, calibration error, reliability curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from insula.core.errors import EvaluationError
from insula.metrics.probabilities import Kind

_RANGE = (np.log(0.02), np.log(50.0))


def fit_temperature(logits: ArrayLike, labels: ArrayLike, kind: Kind) -> float:
    """The temperature that gives the least log loss on validation cases (Guo et al., ICML 2017).

    logits: (n, K). labels: (n, K) bool, one true per row for exclusive classes. Where the classes are separated without
    one error the loss has no minimum (it falls for ever as the temperature goes to 0): then 1.0, no change.
    Raises EvaluationError for shapes that differ or no rows.
    """
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels, dtype=bool)
    if z.shape != y.shape or z.ndim != 2 or len(z) == 0:
        raise EvaluationError(f"Logits {z.shape} and labels {y.shape} must be equal tables with at least one row.")
    if not np.isfinite(z).all():
        raise EvaluationError("Some logits are not finite; train again before fitting a temperature.")
    if kind == "multiclass" and not (y.sum(axis=1) == 1).all():
        raise EvaluationError("Some cases carry no or several of the exclusive classes; correct their labels.")

    if _separated(z, y, kind):
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = z / np.exp(log_temperature)
        if kind == "multiclass":
            return float(-log_softmax(scaled, axis=1)[y].mean())
        return float(np.logaddexp(0.0, np.where(y, -scaled, scaled)).mean())

    found = float(minimize_scalar(loss, bounds=_RANGE, method="bounded", options={"xatol": 1e-6}).x)
    return 1.0 if found < _RANGE[0] + 0.01 else float(np.exp(found))


def _separated(z: NDArray[np.float64], y: NDArray[np.bool_], kind: Kind) -> bool:
    # asked of the logits: the loss itself is flat at 0 long before the smallest temperature
    if kind == "multiclass":
        return bool((z[y] >= z.max(axis=1)).all())
    return bool((np.where(y, z, -z) >= 0).all())


@dataclass(frozen=True)
class Reliability:
    """Equal-mass bins of predicted probability: mean prediction, observed share, number of rows in each."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    count: tuple[int, ...]
    positives: tuple[int, ...]


def bins(p: ArrayLike, count: int = 10) -> NDArray[np.intp]:
    """The bin (n,) of each probability in `count` bins of equal mass; equal probabilities share a bin."""
    score = np.asarray(p, dtype=np.float64)
    edges = np.unique(np.quantile(score, np.arange(1, count) / count, method="inverted_cdf"))
    found = np.searchsorted(edges, score, side="left")
    return np.unique(found, return_inverse=True)[1]


def reliability(y: ArrayLike, p: ArrayLike, count: int = 10) -> Reliability:
    """Points of the reliability diagram for labels y (n,) and probabilities p (n,) in equal-mass bins."""
    truth, score = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    index = bins(score, count)
    number = np.bincount(index)
    positives = np.bincount(index, truth)
    return Reliability(
        tuple((np.bincount(index, score) / number).tolist()),
        tuple((positives / number).tolist()),
        tuple(number.tolist()),
        tuple(positives.astype(int).tolist()),
    )


def ece(y: ArrayLike, p: ArrayLike, weights: NDArray[np.float64] | None = None, count: int = 10) -> NDArray[np.float64]:
    """Expected calibration error with equal-mass bins, Σ |Σ w(y − p)| / Σ w, one value per row of weights (R, n).

    The bins are those of the unweighted sample, so that replicates differ by their cases only (Nixon et al., 2019).
    It is never negative, so even a perfect model shows some on few cases.
    """
    truth, score = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    w = np.ones((1, len(score))) if weights is None else weights
    index = bins(score, count)
    gap = np.zeros((len(score), int(index.max()) + 1))
    gap[np.arange(len(score)), index] = truth - score
    result: NDArray[np.float64] = np.abs(w @ gap).sum(axis=1) / w.sum(axis=1)
    return result
