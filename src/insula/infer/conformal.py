"""Prediction sets that hold the truth as often as promised, per class.

Split conformal prediction, conditional on the class (Vovk 2012; Sadinle, Lei and Wasserman 2019): of cases whose true
class is k, exchangeable with the validation cases, at least `level` get a set with k in it, whatever the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import EvaluationError

Kind = Literal["multiclass", "multilabel"]


def quantiles(
    probabilities: NDArray[np.floating], labels: NDArray[np.bool_], kind: Kind, level: float
) -> tuple[float, ...]:
    """One quantile per class of the score 1 - p over the validation cases that have the class.

    probabilities, labels: (n, K). The quantile is the ⌈(m+1)·level⌉-th smallest of m scores; a class with too few
    cases for the level gets 1, so that it is always kept. Raises EvaluationError for shapes or labels that do not fit.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, bool)
    if p.ndim != 2 or p.shape != y.shape:
        raise EvaluationError(f"Probabilities {p.shape} and labels {y.shape} differ in shape; give both as (n, K).")
    if not 0.0 < level < 1.0:
        raise EvaluationError(f"The conformal level is {level}; it must lie between 0 and 1.")
    if kind == "multiclass" and not (y.sum(axis=1) == 1).all():
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
    del kind  # the rule is one for both; the argument keeps callers explicit about what the set means
    scores = 1.0 - np.asarray(probabilities, np.float64)
    return tuple(c for c, s, q in zip(classes, scores, quantiles, strict=True) if s <= q)
