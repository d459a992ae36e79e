"""Figures of a number that is predicted, for one sample or for many weighted replicates of it at once.

y: true values (n,), p: predicted ones (n,), weights: (R, n); each function gives (R,). A value that is not defined is
NaN.
"""

from __future__ import annotations

import numpy as np

from insula.metrics.classification import Values, ratio


def mae(y: Values, p: Values, weights: Values) -> Values:
    """Mean absolute error, in the unit of the values."""
    return _mean(np.abs(p - y), weights)


def rmse(y: Values, p: Values, weights: Values) -> Values:
    """Root of the mean squared error, in the unit of the values."""
    result: Values = np.sqrt(_mean((p - y) ** 2, weights))
    return result


def bias(y: Values, p: Values, weights: Values) -> Values:
    """Mean of predicted minus true; above 0 the predictions are too large."""
    return _mean(p - y, weights)


def pearson(y: Values, p: Values, weights: Values) -> Values:
    """Pearson's correlation; NaN where either side does not vary."""
    yy, pp, yp = _moments(y, p, weights)
    result: Values = np.clip(ratio(yp, np.sqrt(yy * pp)), -1.0, 1.0)
    return result


def r2(y: Values, p: Values, weights: Values) -> Values:
    """1 − Σ(y − p)²/Σ(y − mean y)²; below 0 where the mean would be better, NaN where y does not vary."""
    yy, _, _ = _moments(y, p, weights)
    return 1.0 - ratio(_mean((p - y) ** 2, weights), yy)


def _mean(values: Values, weights: Values) -> Values:
    return ratio(weights @ values, weights.sum(axis=1))


def _moments(y: Values, p: Values, weights: Values) -> tuple[Values, Values, Values]:
    """Weighted variances of y and p and their covariance; exactly 0 where a side is constant among the rows counted."""
    a, b = y - y.mean(), p - p.mean()  # centred first: differences of large squares would lose their digits
    one, two = _mean(a, weights), _mean(b, weights)
    yy = _settled(_mean(a * a, weights) - one**2, _mean(a * a, weights))
    pp = _settled(_mean(b * b, weights) - two**2, _mean(b * b, weights))
    return yy, pp, _mean(a * b, weights) - one * two


def _settled(variance: Values, size: Values) -> Values:
    result: Values = np.where(variance <= 1e-13 * size, 0.0, variance)
    return result
