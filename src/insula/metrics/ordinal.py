"""Figures of classes that have an order, from confusion matrices (R, K, K) of `classification.confusion`.

Rows are the true class, columns the answer. A value that is not defined is NaN.
"""

from __future__ import annotations

import numpy as np

from insula.metrics.agreement import kappa
from insula.metrics.classification import Values, ratio


def quadratic_kappa(matrix: Values) -> Values:
    """Cohen's kappa with quadratic weights (R,); NaN where the truth is one class throughout."""
    return kappa(matrix, "quadratic")


def mean_steps(matrix: Values) -> Values:
    """Mean absolute error in steps (R,): how many classes the answer lies from the truth."""
    return ratio((matrix * _distance(matrix)).sum(axis=(1, 2)), matrix.sum(axis=(1, 2)))


def within_one(matrix: Values) -> Values:
    """Share of rows (R,) whose answer is the true class or a neighbour of it."""
    return ratio((matrix * (_distance(matrix) <= 1)).sum(axis=(1, 2)), matrix.sum(axis=(1, 2)))


def _distance(matrix: Values) -> Values:
    steps = np.arange(matrix.shape[1], dtype=np.float64)
    distance: Values = np.abs(steps[:, None] - steps[None, :])
    return distance
