"""How far two groups of patients lie apart in a figure, with an interval of any level and a test against a limit.

The intervals of both groups are combined by the method of variance estimates recovery (Zou and Donner, Statistics in
Medicine 27:1693, 2008), which for shares is Newcombe's hybrid score interval (method 10, Statistics in Medicine 17:873,
1998). Groups share no patient, and each patient has one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import logit, ndtr, stdtrit

from insula.metrics import compare, interval_choice, intervals

Ends = tuple[float, float]
AtLevel = Callable[[float], Ends]
_ONE_SIGMA = float(2 * ndtr(1.0) - 1)
_LEAST_P = 1e-12


@dataclass(frozen=True)
class Rate:
    """A figure of one group. ends: its interval at a level. n: rows that it rests on, events: of these its numerator,
    or the positives.
    """

    value: float
    ends: AtLevel
    n: int
    events: int


def share(hits: int, n: int) -> Rate:
    """A share with Wilson's interval; (0, 1) for a share of nothing."""
    if n == 0:
        return Rate(math.nan, lambda level: (0.0, 1.0), 0, 0)
    return Rate(hits / n, lambda level: intervals.wilson(hits, n, level), n, hits)


def area(y: ArrayLike, p: ArrayLike) -> Rate:
    """ROC-AUC with DeLong's variance in Wilson's form, Student's t of the rarer class; Newcombe's interval at 0 and 1.

    (0, 1) where fewer than three rows are of a class.
    """
    truth = np.asarray(y, dtype=bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    found = compare.delong_interval(truth, p, level=_ONE_SIGMA)
    value, rarer = found.value, min(positives, negatives)
    if rarer < interval_choice.FEWEST:
        return Rate(value, lambda level: (0.0, 1.0), len(truth), positives)
    error = 0.0
    if found.method == "DeLong" and found.interval is not None:  # its ends at one standard error, on the logit scale
        error = float(logit(found.interval[1]) - logit(value)) * value * (1 - value)

    def ends(level: float) -> Ends:
        quantile = float(stdtrit(rarer - 1, 0.5 + level / 2))
        scored = interval_choice.score(value, error, quantile) if error > 1e-12 else None
        return scored or intervals.newcombe_auc(value, positives, negatives, level)

    return Rate(value, ends, len(truth), positives)


def mean(values: ArrayLike) -> Rate:
    """A mean with Student's interval; without bounds for fewer than three values."""
    given = np.asarray(values, dtype=np.float64)
    n = len(given)
    if n < interval_choice.FEWEST:
        return Rate(float(given.mean()) if n else math.nan, lambda level: (-math.inf, math.inf), n, n)
    middle, error = float(given.mean()), float(given.std(ddof=1)) / math.sqrt(n)

    def ends(level: float) -> Ends:
        half = float(stdtrit(n - 1, 0.5 + level / 2)) * error
        return middle - half, middle + half

    return Rate(middle, ends, n, n)


def difference(first: Rate, second: Rate, level: float = 0.95) -> Ends:
    """The interval of first − second."""
    gap = first.value - second.value
    (low, high), (below, above) = first.ends(level), second.ends(level)
    down = math.hypot(first.value - low, above - second.value)
    up = math.hypot(high - first.value, second.value - below)
    return gap - down, gap + up


def either_way(ends: Ends) -> Ends:
    """The interval of the size of a difference, whichever sign it has."""
    low, high = ends
    return max(0.0, low, -high), max(abs(low), abs(high))


def p_above(ends: AtLevel, value: float, limit: float) -> float:
    """Two-sided p of a figure that is no more than the limit: 1 less the level at which its interval reaches the limit.

    ends: of the figure with its sign, not of its size. 1 where the figure itself is not above the limit. So p is below
    0.05 just where the whole 95% interval lies above it.
    """
    if not value > limit:
        return 1.0

    def left(log_p: float) -> float:
        return ends(-math.expm1(log_p))[0] - limit

    low, high = math.log(_LEAST_P), -1e-6
    if left(high) <= 0:
        return 1.0
    return _LEAST_P if left(low) > 0 else math.exp(float(brentq(left, low, high, xtol=1e-6)))


def largest(families: Sequence[Sequence[Rate]]) -> Ends:
    """95% interval of the largest difference between two groups, in any of several figures (families of rates).

    The intervals of all pairs hold together (Bonferroni), so that their largest ends hold the largest difference.
    """
    return _largest(families, difference)


def least_ratio(families: Sequence[Sequence[Rate]]) -> Ends:
    """95% interval of the smallest ratio of two groups' rates, made like `largest` on the log scale."""
    low, high = _largest(families, _log_ratio)
    return math.exp(-high), math.exp(-low)


def _largest(families: Sequence[Sequence[Rate]], of: Callable[[Rate, Rate, float], Ends]) -> Ends:
    pairs = [pair for family in families for pair in combinations(family, 2)]
    found = [either_way(of(a, b, 1 - 0.05 / len(pairs))) for a, b in pairs]
    return max(low for low, _ in found), max(high for _, high in found)


def _log_ratio(first: Rate, second: Rate, level: float) -> Ends:
    """The interval of log(first / second); without a bound on the side where a rate is 0."""
    a, b = first.ends(level), second.ends(level)
    if first.value == 0 or second.value == 0:
        low = -math.inf if first.value == 0 else math.log(a[0]) - math.log(b[1])
        high = math.inf if second.value == 0 else math.log(a[1]) - math.log(b[0])
        return low, high
    return difference(_logged(first.value, a), _logged(second.value, b), level)


def _logged(value: float, ends: Ends) -> Rate:
    low, high = (math.log(end) for end in ends)
    return Rate(math.log(value), lambda level: (low, high), 0, 0)
