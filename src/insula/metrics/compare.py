"""Two models on the same cases: is one better, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, rankdata, t

from insula.core.errors import EvaluationError
from insula.metrics import intervals
from insula.metrics.interval_choice import FEWEST
from insula.metrics.intervals import Figure
from insula.metrics.resample import TOO_FEW

Values = NDArray[np.float64]
Bools = NDArray[np.bool_]
ONE_CLASS = "the rows do not hold both positives and negatives"


@dataclass(frozen=True)
class Comparison:
    """Two models on the same cases: their values, the first minus the second with its interval, and the p-value.

    p_value: two-sided, of no difference; NaN where undefined. method: how the p-value was found.
    """

    first: float
    second: float
    difference: Figure
    p_value: float
    method: str


@dataclass(frozen=True)
class Discordance:
    """McNemar's test: rows where only the first or only the second model is right, and the two-sided p-value."""

    only_first: int
    only_second: int
    p_value: float
    method: str


@dataclass(frozen=True)
class _Areas:
    """AUCs (models,) of the same rows and their covariance (models, models); None where it has no estimate.

    rarest: patients of the rarer class.
    """

    values: Values
    covariance: Values | None
    patients: int
    n: int
    positives: int
    rarest: int


def delong(y: ArrayLike, p_a: ArrayLike, p_b: ArrayLike, patients: ArrayLike | None = None) -> Comparison:
    """Difference of two AUCs on the same n rows, with its 95% interval and p-value.

    DeLong's test (Biometrics 44:837, 1988) by mid-ranks (Sun and Xu, IEEE Signal Processing Letters 21:1389, 2014);
    where patients (n,) have several rows, with the variance of clustered data (Obuchowski, Biometrics 53:567, 1997),
    which is DeLong's own where each has one. Student's t, with as many degrees of freedom as the rarer class has
    patients less one, stands for the normal distribution, with which the interval was too short for 60 patients
    (docs/results/intervals.md). Raises EvaluationError for lists that do not fit together.
    """
    areas = _areas(y, np.stack([_scores(p_a), _scores(p_b)]), patients)
    first, second = (float(v) for v in areas.values)
    gap = first - second
    counts = (areas.patients, areas.n, areas.positives)
    if not np.isfinite(gap):
        nothing = Figure(gap, None, "", *counts, ONE_CLASS)
        return Comparison(first, second, nothing, float("nan"), "DeLong")
    if areas.covariance is None or areas.rarest < FEWEST:
        few = f"fewer than {FEWEST} patients of a class: too few for an interval"
        return Comparison(first, second, Figure(gap, None, "", *counts, few), float("nan"), "DeLong")
    contrast = np.array([1.0, -1.0])
    error = float(np.sqrt(max(contrast @ areas.covariance @ contrast, 0.0)))
    if error < 1e-12:
        why = "the two models order positives against negatives alike" if abs(gap) < 1e-12 else "its variance is 0"
        p = 1.0 if abs(gap) < 1e-12 else float("nan")
        return Comparison(first, second, Figure(gap, None, "", *counts, why), p, "DeLong")
    half = float(t.ppf(0.975, areas.rarest - 1)) * error
    ends = (max(gap - half, -1.0), min(gap + half, 1.0))
    p_value = float(2 * t.sf(abs(gap) / error, areas.rarest - 1))
    return Comparison(first, second, Figure(gap, ends, "DeLong", *counts), p_value, "DeLong")


def delong_interval(y: ArrayLike, p: ArrayLike, patients: ArrayLike | None = None, level: float = 0.95) -> Figure:
    """ROC-AUC with DeLong's interval on the logit scale, so that it stays within 0 and 1 (Qin and Hotilovac, 2008).

    The variance is that of `delong`. Where it is 0 (an AUC of 0 or 1) Newcombe's interval over patients takes over.
    """
    areas = _areas(y, _scores(p)[None], patients)
    value = float(areas.values[0])
    counts = (areas.patients, areas.n, areas.positives)
    if not np.isfinite(value):
        return Figure(value, None, "", *counts, ONE_CLASS)
    error = np.sqrt(max(float(areas.covariance[0, 0]), 0.0)) if areas.covariance is not None else 0.0
    if error > 1e-12 and 0 < value < 1:
        ends = intervals.on_logit(value, float(error), level)
        return Figure(value, ends, "DeLong", *counts)
    truth = np.asarray(y, dtype=bool)
    keys = np.arange(len(truth)) if patients is None else np.asarray(patients)
    positive = len(np.unique(keys[truth]))
    negative = len(np.unique(keys[~truth]))
    return Figure(value, intervals.newcombe_auc(value, positive, negative, level), "Newcombe", *counts)


def mcnemar(right_a: ArrayLike, right_b: ArrayLike, mid_p: bool = False) -> Discordance:
    """Exact test whether two models are right equally often on the same n rows, one row per patient.

    Under no difference the rows that only one of them gets right fall to either by a fair coin: p is twice the smaller
    binomial tail, at most 1 (McNemar, Psychometrika 12:153, 1947). mid_p counts half the chance of what was seen
    (Fagerland et al., BMC Medical Research Methodology 13:91, 2013): less strict, seldom above its level.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise EvaluationError(f"Answers {a.shape} and {b.shape} must be two equally long lists with at least one row.")
    first, second = int((a & ~b).sum()), int((~a & b).sum())
    method = "McNemar, mid-p" if mid_p else "McNemar, exact"
    return Discordance(first, second, sign_test(first, second, mid_p), method)


def sign_test(first: int, second: int, mid_p: bool = False) -> float:
    """Two-sided p-value of so many rows on one side and on the other under a fair coin; 1 where there are none."""
    smaller, total = min(first, second), first + second
    if total == 0:
        return 1.0
    p = 2 * float(binom.cdf(smaller, total, 0.5))
    if mid_p:
        p -= float(binom.pmf(smaller, total, 0.5))
    return min(p, 1.0)


def paired_bootstrap(
    first: Callable[[Values], Values],
    second: Callable[[Values], Values],
    patients: ArrayLike,
    events: int,
    replicates: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Difference of any figure of two models, resampling whole patients for both at once.

    first, second: weights (R, n) → (R,) values, as in insula.metrics.classification with labels and answers bound.
    events: the positives among the rows. The interval and the p-value are Student's t with the standard deviation of
    the replicates, times √(P/(P − 1)) for P patients, which held the truth more often than their percentiles
    (docs/results/intervals.md); degrees of freedom: patients less one, or patients of the rarer class where each
    patient has one row.
    """
    keys = np.asarray(patients)
    whole = np.ones((1, len(keys)))
    a, b = float(first(whole)[0]), float(second(whole)[0])
    counts = (len(np.unique(keys)), len(keys), events)
    gap = a - b
    if not np.isfinite(gap):
        nothing = Figure(gap, None, "", *counts, "it is not defined for both models")
        return Comparison(a, b, nothing, float("nan"), "bootstrap")
    spread = np.concatenate([first(w) - second(w) for w in intervals.replicates(keys, replicates, seed)])
    defined = spread[np.isfinite(spread)]
    total, n = counts[0], counts[1]
    counted = min(events, n - events) if n == total and 0 < events < n else total
    if len(defined) * 2 < len(spread) or counted < FEWEST:
        of = "" if counted == total else " of a class"
        few = TOO_FEW if counted >= FEWEST else f"fewer than {FEWEST} patients{of}: too few for an interval"
        return Comparison(a, b, Figure(gap, None, "", *counts, few), float("nan"), "bootstrap")
    error = float(defined.std()) * np.sqrt(total / (total - 1))
    if error < 1e-9:
        same = Figure(gap, None, "", *counts, "all bootstrap samples agree")
        return Comparison(a, b, same, 1.0 if abs(gap) < 1e-12 else float("nan"), "bootstrap")
    half = float(t.ppf(0.975, counted - 1)) * error
    p_value = float(2 * t.sf(abs(gap) / error, counted - 1))
    return Comparison(a, b, Figure(gap, (gap - half, gap + half), "bootstrap", *counts), p_value, "bootstrap")


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values corrected for their number, in the order given (Holm, Scandinavian Journal of Statistics 6:65, 1979).

    An undefined one (NaN) stays undefined and does not count. Raises EvaluationError for one outside 0..1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(p))
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise EvaluationError(f"{list(p_values)} are no p-values; each lies between 0 and 1.")
    order = known[np.argsort(p[known], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    adjusted = p.copy()
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return tuple(float(v) for v in adjusted)


def _scores(p: ArrayLike) -> Values:
    score = np.asarray(p, dtype=np.float64)
    if score.ndim != 1 or not np.isfinite(score).all():
        raise EvaluationError(f"Scores of shape {score.shape} must be one list of finite numbers; predict again.")
    return score


def _areas(y: ArrayLike, scores: Values, patients: ArrayLike | None) -> _Areas:
    truth = np.asarray(y, dtype=bool)
    keys = np.arange(len(truth)) if patients is None else np.asarray(patients)
    if truth.ndim != 1 or scores.shape[1:] != truth.shape or keys.shape != truth.shape:
        raise EvaluationError(
            f"Labels {truth.shape}, scores {scores.shape[1:]} and patients {keys.shape} must be equally long lists."
        )
    m, n = int(truth.sum()), int((~truth).sum())
    _, owner = np.unique(keys, return_inverse=True)
    total = int(owner.max()) + 1 if len(owner) else 0
    if m == 0 or n == 0:
        return _Areas(np.full(len(scores), np.nan), None, total, len(truth), m, 0)
    wins, losses = [], []  # of each positive its share of negatives below it, of each negative of positives above it
    for score in scores:
        rank = rankdata(score)
        wins.append((rank[truth] - rankdata(score[truth])) / n)
        losses.append(1.0 - (rank[~truth] - rankdata(score[~truth])) / m)
    v10, v01 = np.stack(wins), np.stack(losses)
    area = v10.mean(axis=1)
    patients_m, patients_n = len(np.unique(owner[truth])), len(np.unique(owner[~truth]))
    rarest = min(patients_m, patients_n)
    if rarest < 2:
        return _Areas(area, None, total, len(truth), m, rarest)
    off10 = _per_patient(v10 - area[:, None], owner[truth], total)
    off01 = _per_patient(v01 - area[:, None], owner[~truth], total)
    cross = off10 @ off01.T
    covariance = (
        patients_m / (patients_m - 1) * (off10 @ off10.T) / m**2
        + patients_n / (patients_n - 1) * (off01 @ off01.T) / n**2
        + total / (total - 1) * (cross + cross.T) / (m * n)
    )
    return _Areas(area, covariance, total, len(truth), m, rarest)


def _per_patient(values: Values, owner: NDArray[np.intp], total: int) -> Values:
    return np.stack([np.bincount(owner, row, minlength=total) for row in values])
