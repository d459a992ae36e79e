"""What is lost between two sets of answers to the same patients, each loss with its paired 95% interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from insula.audit.ground import Ground
from insula.evaluate.facts import answers
from insula.evaluate.table import Sample
from insula.metrics.classification import brier, ratio
from insula.metrics.compare import delong, delong_interval, paired_bootstrap
from insula.metrics.intervals import Figure
from insula.metrics.probabilities import exclusive

Floats = NDArray[np.float64]
SAME: Final = "all samples agree, since positives and negatives stand in the same order"


@dataclass(frozen=True)
class Losses:
    """Before less after, of patients who were answered both times; of the Brier score after less before.

    figures: `roc_auc`, `sensitivity`, `specificity`, `accuracy`, `confidence`, `brier`. areas: the ROC-AUC before and
    after. positives, negatives: patients behind them.
    """

    figures: Mapping[str, Figure]
    areas: tuple[float, float]
    positives: int
    negatives: int


def losses(ground: Ground, before: Sample, after: Sample) -> Losses:
    """The losses of the positive class; a figure that has no value says why."""
    y = ground.positive(before)
    positives, negatives = int(y.sum()), int((~y).sum())
    old, new = ground.scores(before), ground.scores(after)
    called_old, called_new = ground.called(before), ground.called(after)
    area = delong(y, old, new)
    every = np.ones(len(y), dtype=bool)
    figures = {
        "roc_auc": _area(y, old, new),
        "sensitivity": _mean(ground, before.keys, called_old, called_new, y, positives),
        "specificity": _mean(ground, before.keys, ~called_old, ~called_new, ~y, negatives),
        "accuracy": _mean(ground, before.keys, called_old == y, called_new == y, every, positives),
        "confidence": _mean(
            ground, before.keys, confidence(ground, before), confidence(ground, after), every, positives
        ),
        "brier": paired_bootstrap(
            lambda w: brier(y, new, w),
            lambda w: brier(y, old, w),
            before.keys,
            positives,
            ground.replicates,
            ground.seed,
        ).difference,
    }
    return Losses(figures, (area.first, area.second), positives, negatives)


def confidence(ground: Ground, rows: Sample) -> Floats:
    """The probability of the answer given, (n,): of exclusive classes that of the class, otherwise that the positive
    label is, or is not, there.
    """
    given = answers(rows.p, ground.facts, rows.limits)
    if exclusive(ground.facts.kind):
        whole: Floats = (rows.p * given).sum(axis=1)
        return whole
    p, called = ground.scores(rows), ground.called(rows)
    return np.where(called, p, 1.0 - p)


def p_beyond(figure: Figure, limit: float, patients: int) -> float:
    """One-sided p-value of a loss that is no more than its limit; NaN where the figure has no error to judge by.

    patients: those whose number, less one, is the degrees of freedom of the figure's interval.
    """
    if figure.interval is None:
        agreed = "agree" in figure.reason and np.isfinite(figure.value)
        return float(figure.value <= limit) if agreed else float("nan")
    half = max(figure.value - figure.interval[0], 1e-12)
    error = half / float(t.ppf(0.975, patients - 1))
    return float(t.sf((figure.value - limit) / error, patients - 1))


def _area(y: NDArray[np.bool_], old: Floats, new: Floats) -> Figure:
    """The difference by DeLong; where its variance is 0, from the two areas' own intervals.

    Those are put together as if they were independent (Zou and Donner, Statistics in Medicine 27:1693, 2008), which
    makes the interval too long rather than too short.
    """
    found = delong(y, old, new).difference
    if found.interval is not None or not np.isfinite(found.value) or found.reason.startswith("fewer"):
        return found
    if abs(found.value) < 1e-12:
        return replace(found, value=0.0, reason=SAME)
    first, second = delong_interval(y, old), delong_interval(y, new)
    assert first.interval is not None  # noqa: S101 (both classes are there, so Newcombe's exists)
    assert second.interval is not None  # noqa: S101
    (low_a, high_a), (low_b, high_b) = first.interval, second.interval
    below = float(np.hypot(first.value - low_a, high_b - second.value))
    above = float(np.hypot(high_a - first.value, second.value - low_b))
    ends = (max(found.value - below, -1.0), min(found.value + above, 1.0))
    return replace(found, interval=ends, method="of the two areas' intervals", reason="")


def _mean(
    ground: Ground,
    keys: NDArray[np.str_],
    old: NDArray[np.bool_] | Floats,
    new: NDArray[np.bool_] | Floats,
    among: NDArray[np.bool_],
    events: int,
) -> Figure:
    """The difference of two means of the same rows, those of `among`."""
    a, b = old[among].astype(np.float64), new[among].astype(np.float64)
    found = paired_bootstrap(
        lambda w: ratio(w @ a, w.sum(axis=1)),
        lambda w: ratio(w @ b, w.sum(axis=1)),
        keys[among],
        events,
        ground.replicates,
        ground.seed,
    ).difference
    if found.interval is None:
        return found
    return replace(found, interval=(max(found.interval[0], -1.0), min(found.interval[1], 1.0)))  # both means are shares
