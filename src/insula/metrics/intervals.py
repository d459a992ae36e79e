"""Intervals: the bootstrap over patients, and what takes its place where it says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from insula.core.errors import EvaluationError

_BLOCK = 4_000_000


@dataclass(frozen=True)
class Figure:
    """One figure as it is reported: never without its interval, or the reason why there is none.

    patients, n: how many patients and rows it rests on (for a share: those in its denominator). events: how many of the
    n rows are events (for a share: its numerator; otherwise the positives). value is NaN where undefined.
    """

    value: float
    interval: tuple[float, float] | None
    method: str
    patients: int
    n: int
    events: int
    reason: str = ""


def wilson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); EvaluationError for n = 0 or successes outside 0..n."""
    if n <= 0 or not 0 <= successes <= n:
        raise EvaluationError(f"{successes} of {n} is no proportion; an interval needs at least one trial.")
    z = float(norm.ppf(0.5 + level / 2))
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    below, above = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return (0.0 if successes == 0 else float(max(below, 0.0))), (1.0 if successes == n else float(min(above, 1.0)))


def newcombe_auc(auc: float, positives: int, negatives: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of an AUC that does not close at 1 (method 5 of Newcombe, Statistics in Medicine 25:559, 2006).

    Each end θ solves |AUC − θ| = z·√V(θ) with Hanley and McNeil's variance V at θ, as Wilson's does for a proportion.
    """
    if min(positives, negatives) < 1:
        raise EvaluationError(f"{positives} positive and {negatives} negative patients give no AUC; both are needed.")
    z = float(norm.ppf(0.5 + level / 2))
    half = (positives + negatives) / 2 - 1

    def gap(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return float((auc - theta) ** 2 - z * z * spread / (positives * negatives))

    low = 0.0 if auc <= 0 else float(brentq(gap, 0.0, auc - 1e-12))
    high = 1.0 if auc >= 1 else float(brentq(gap, auc + 1e-12, 1.0))
    return low, high


def replicates(patients: ArrayLike, count: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Bootstrap samples of whole patients, as blocks of weights (r, n): how often each row is in each replicate.

    patients: (n,) keys; all rows of a patient are drawn together. A block holds at most 32 MB.
    """
    _, index = np.unique(np.asarray(patients), return_inverse=True)
    total = int(index.max()) + 1
    step = max(1, _BLOCK // max(len(index), total))
    rng = np.random.default_rng(seed)
    for start in range(0, count, step):
        drawn = rng.multinomial(total, np.full(total, 1 / total), size=min(step, count - start))
        yield drawn[:, index].astype(np.float64)


def percentile(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float] | None:
    """The middle `level` of the defined replicates (R,); None when fewer than half of them are defined."""
    defined = values[np.isfinite(values)]
    if len(defined) * 2 < len(values) or len(defined) == 0:
        return None
    low, high = np.quantile(defined, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def is_degenerate(interval: tuple[float, float]) -> bool:
    """Whether the replicates all but agree: an interval of no width, which says more than the data can."""
    return interval[1] - interval[0] < 1e-9
