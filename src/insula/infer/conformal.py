"""Prediction sets that hold the truth as often as promised, per class.

Split conformal prediction, conditional on the class (Vovk 2012; Sadinle, Lei and Wasserman 2019): of cases whose true
class is k, exchangeable with the validation cases, at least `level` get a set with k in it, whatever the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import EvaluationError
from insula.metrics.probabilities import Kind, exclusive


def quantiles(
    probabilities: NDArray[np.floating], labels: NDArray[np.bool_], kind: Kind, level: float
) -> tuple[float, ...]:
    """One quantile per class of the score 1 - p over the validation cases that have the class.

    probabilities, labels: (n, K), one row a patient. The quantile is the ⌈(m+1)·level⌉-th smallest of m scores; a class
    with too few cases for the level gets 1, so that it is always kept. Raises EvaluationError for shapes or labels that
    do not fit.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, bool)
    if p.ndim != 2 or p.shape != y.shape:
        raise EvaluationError(f"Probabilities {p.shape} and labels {y.shape} differ in shape; give both as (n, K).")
    if not 0.0 < level < 1.0:
        raise EvaluationError(f"The conformal level is {level}; it must lie between 0 and 1.")
    if exclusive(kind) and not (y.sum(axis=1) == 1).all():
        raise EvaluationError("Exclusive classes need exactly one true class a case; check the labels.")
    result = []
    for k in range(p.shape[1]):
        scores = np.sort(1.0 - p[y[:, k], k])
        rank = math.ceil((len(scores) + 1) * level - 1e-9)
        result.append(float(scores[rank - 1]) if rank <= len(scores) else 1.0)
    return tuple(result)


def prediction_set(
    probabilities: NDArray[np.floating], quantiles: Sequence[float], classes: Sequence[str], kind: Kind
) -> tuple[str, ...]:
    """The classes that cannot be ruled out: those with 1 - p at most their quantile, in class order.

    For exclusive classes one of them is the truth; for labels each one is kept or dropped by itself. The set can be
    empty: then no class is like its validation cases.
    """
    exclusive(kind)  # the rule is one for both, and a kind without classes has no set
    inside = members(np.asarray(probabilities)[None], quantiles)[0]
    return tuple(c for c, kept in zip(classes, inside, strict=True) if kept)


def members(probabilities: NDArray[np.floating], quantiles: Sequence[float]) -> NDArray[np.bool_]:
    """Which classes are in the prediction set of each row: (n, K) of probabilities (n, K) and K quantiles."""
    p, limits = np.asarray(probabilities, np.float64), np.asarray(quantiles, np.float64)
    if p.ndim != 2 or limits.shape != p.shape[1:]:
        raise EvaluationError(f"Probabilities {p.shape} and {limits.size} conformal quantiles do not belong together.")
    kept: NDArray[np.bool_] = 1.0 - p <= limits
    return kept
