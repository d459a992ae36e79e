"""Choosing the threshold, on validation cases only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from insula.core.errors import EvaluationError
from insula.core.recipe import OperatingPoint


def choose(y: ArrayLike, p: ArrayLike, point: OperatingPoint) -> float:
    """The threshold t that meets the aim, where a case counts as positive when p ≥ t.

    y: (n,) bool. p: (n,) probabilities. sensitivity: the largest t that reaches it (so the best specificity).
    specificity: the smallest t that reaches it (so the best sensitivity), at most 1. youden: the t with the largest
    sensitivity + specificity − 1. f2: with the largest F2 (van Rijsbergen 1979). cost: with the least cost·FN + FP.
    Among equals the smallest. Raises EvaluationError without both classes or with bad probabilities.
    """
    truth = np.asarray(y, dtype=bool)
    score = np.asarray(p, dtype=np.float64)
    if truth.shape != score.shape or truth.ndim != 1:
        raise EvaluationError(f"Labels {truth.shape} and probabilities {score.shape} must be two equally long lists.")
    if not np.isfinite(score).all():
        raise EvaluationError("Some probabilities are not finite; train or predict again before choosing a threshold.")
    positives, negatives = np.sort(score[truth]), np.sort(score[~truth])
    if len(positives) == 0 or len(negatives) == 0:
        raise EvaluationError(
            f"The validation cases hold {len(positives)} positive and {len(negatives)} negative; a threshold needs "
            "both: add cases or split again."
        )
    if point.sensitivity is not None:
        needed = max(int(np.ceil(point.sensitivity * len(positives) - 1e-9)), 1)
        return float(positives[len(positives) - needed])
    steps = np.unique(score)
    candidates = np.append(steps, np.nextafter(steps[-1], np.inf))
    sensitivity = 1.0 - np.searchsorted(positives, candidates, side="left") / len(positives)
    specificity = np.searchsorted(negatives, candidates, side="left") / len(negatives)
    if point.specificity is not None:
        return min(float(candidates[np.argmax(specificity >= point.specificity - 1e-12)]), 1.0)
    missed, alarms = (1 - sensitivity) * len(positives), (1 - specificity) * len(negatives)
    if point.cost is not None:
        gain = -(point.cost * missed + alarms) / (point.cost * len(positives) + len(negatives))
    elif point.f2:
        found = len(positives) - missed
        gain = 5 * found / (5 * found + 4 * missed + alarms)
    else:
        gain = sensitivity + specificity
    return float(candidates[np.argmax(gain >= gain.max() - 1e-12)])
