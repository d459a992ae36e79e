"""Intervals: the bootstrap over patients, and what takes its place where it says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import beta, chi2

from insula.core.errors import EvaluationError

_NEXT = 1e-12
_BLOCK = 4_000_000
_CACHED = 64_000


@dataclass(frozen=True)
class Figure:
    """One figure as it is reported: never without its interval, or the reason why there is none.

    patients, n: how many patients and rows it rests on (for a share: those in its denominator). events: how many of the
    n rows are events (for a share: its numerator; otherwise the positives). value is NaN where undefined. reason: why
    there is no interval. note: how far the interval's coverage fell short of 95% when it was simulated.
    """

    value: float
    interval: tuple[float, float] | None
    method: str
    patients: int
    n: int
    events: int
    reason: str = ""
    note: str = ""


def wilson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); EvaluationError for n = 0 or successes outside 0..n."""
    if n <= 0 or not 0 <= successes <= n:
        raise EvaluationError(f"{successes} of {n} is no proportion; an interval needs at least one trial.")
    z = float(ndtri(0.5 + level / 2))
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    below, above = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return (0.0 if successes == 0 else float(max(below, 0.0))), (1.0 if successes == n else float(min(above, 1.0)))


def wilson_modified(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval with its ends near 0 and 1 let out (Brown, Cai and DasGupta, Statistical Science 16:101, 2001).

    With one to three successes (two up to 50 trials) Wilson's lower end is too high for the smallest shares; there it
    is Poisson's, χ²(2·successes; 1 − level)/2n. The upper end mirrors it. Below 10 trials it is Wilson's own, since
    the two corrections would meet. Errors are those of `wilson`.
    """
    low, high = wilson(successes, n, level)
    if n < 10:
        return low, high
    few = 2.0 if n <= 50 else 3.0
    if 0 < successes <= few:
        low = min(low, float(chi2.ppf(1 - level, 2 * successes)) / (2 * n))
    if 0 < n - successes <= few:
        high = max(high, 1 - float(chi2.ppf(1 - level, 2 * (n - successes))) / (2 * n))
    return low, high


def clopper_pearson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion (Clopper and Pearson, Biometrika 26:404, 1934): never below its level."""
    if n <= 0 or not 0 <= successes <= n:
        raise EvaluationError(f"{successes} of {n} is no proportion; an interval needs at least one trial.")
    tail = 0.5 - level / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(beta.ppf(1 - tail, successes + 1, n - successes))
    return low, high


def on_logit(value: float, error: float, level: float = 0.95) -> tuple[float, float]:
    """Ends of a figure between 0 and 1 (both excluded) with a standard error, made on the logit scale."""
    half = float(ndtri(0.5 + level / 2)) * error / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def newcombe_auc(auc: float, positives: int, negatives: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of an AUC that does not close at 1 (method 5 of Newcombe, Statistics in Medicine 25:559, 2006).

    Each end θ solves |AUC − θ| = z·√V(θ) with Hanley and McNeil's variance V at θ, as Wilson's does for a proportion.
    """
    if min(positives, negatives) < 1:
        raise EvaluationError(f"{positives} positive and {negatives} negative patients give no AUC; both are needed.")
    z = float(ndtri(0.5 + level / 2))
    half = (positives + negatives) / 2 - 1

    def gap(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return float((auc - theta) ** 2 - z * z * spread / (positives * negatives))

    below, above = auc - _NEXT, auc + _NEXT  # at AUC itself the gap has a second root where AUC is 0 or 1
    low = 0.0 if auc <= 0 else float(brentq(gap, 0.0, below)) if gap(below) < 0 else auc
    high = 1.0 if auc >= 1 else float(brentq(gap, above, 1.0)) if gap(above) < 0 else auc
    return low, high


def draws(patients: int, count: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Bootstrap samples of `patients` patients, as blocks (r, patients): how often each is in each replicate.

    One seed gives one sequence of replicates, whatever the block. A block holds at most 32 MB.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // patients)
    few = max(1, _CACHED // patients)  # counted together while their table stays in the cache
    for start in range(0, count, step):
        block = np.empty((min(step, count - start), patients))
        for first in range(0, len(block), few):
            part = block[first : first + few]
            chosen = rng.integers(0, patients, part.shape)
            chosen += np.arange(len(part))[:, None] * patients
            part[:] = np.bincount(chosen.ravel(), minlength=part.size).reshape(part.shape)
        yield block


def replicates(patients: ArrayLike, count: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Bootstrap samples of whole patients, as blocks of weights (r, n): how often each row is in each replicate.

    patients: (n,) keys; all rows of a patient are drawn together. A block holds at most 32 MB.
    """
    _, index = np.unique(np.asarray(patients), return_inverse=True)
    total = int(index.max()) + 1
    step = max(1, _BLOCK // len(index))
    for block in draws(total, count, seed):
        for first in range(0, len(block), step):
            yield block[first : first + step][:, index]


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


def bca(
    value: float, values: NDArray[np.float64], jackknife: NDArray[np.float64], level: float = 0.95
) -> tuple[float, float] | None:
    """Bias-corrected and accelerated interval (Efron, JASA 82:171, 1987) of replicates (R,).

    jackknife: the figure with each patient (or group of patients) left out; undefined ones are passed over. Replicates
    equal to the value count half towards the bias. Where all replicates lie on one side of the value the bias has no
    measure and the plain percentiles are given. None when fewer than half of the replicates are defined.
    """
    plain = percentile(values, level)
    if plain is None:
        return None
    defined = values[np.isfinite(values)]
    slack = 1e-12 * max(1.0, abs(value))
    below = float(np.mean(defined < value - slack) + 0.5 * np.mean(np.abs(defined - value) <= slack))
    if not 0 < below < 1:
        return plain
    bias = ndtri(below)
    around = jackknife[np.isfinite(jackknife)]
    pull = around.mean() - around if len(around) else np.zeros(1)
    size = float((pull**2).sum())
    acceleration = 0.0 if size <= slack**2 else float((pull**3).sum() / (6 * size**1.5))
    ends = []
    for z in ndtri([0.5 - level / 2, 0.5 + level / 2]):
        stretch = 1 - acceleration * (bias + z)
        ends.append(ndtr(bias + (bias + z) / stretch) if stretch > 0 else float(z > 0))
    low, high = np.quantile(defined, ends)
    return float(low), float(high)
