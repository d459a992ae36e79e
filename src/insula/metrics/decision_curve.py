"""Is acting on the model's answer worth more than treating everybody, or nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.metrics import intervals
from insula.metrics.classification import Bools, Values, ratio

THRESHOLDS = tuple(round(0.01 * i, 2) for i in range(1, 100))


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit per threshold probability; treating nobody is 0 everywhere.

    model, treat_all: net benefit. gain: that of the model above the better of treating all and none. low, high,
    all_low, all_high, gain_low, gain_high: ends of their 95% intervals over patients. prevalence: the share of
    positives, by which a net benefit is divided to be standardised (1 is then the best that can be).
    """

    thresholds: tuple[float, ...]
    model: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    treat_all: tuple[float, ...]
    all_low: tuple[float, ...]
    all_high: tuple[float, ...]
    gain: tuple[float, ...]
    gain_low: tuple[float, ...]
    gain_high: tuple[float, ...]
    prevalence: float
    patients: int
    n: int
    events: int

    @property
    def standardised(self) -> tuple[float, ...]:
        """The model's net benefit as a share of the best possible one."""
        return tuple(v / self.prevalence if self.prevalence else float("nan") for v in self.model)


def net_benefit(y: Bools, p: Values, thresholds: ArrayLike, weights: Values) -> Values:
    """TP/n − FP/n · t/(1 − t) for each threshold t, (R, T); a row is treated where p ≥ t.

    Source: Vickers and Elkin, Medical Decision Making 26:565, 2006. y, p: (n,). weights: (R, n).
    """
    t = _checked(thresholds)
    odds = t / (1 - t)
    worth = (p[:, None] >= t) * np.where(y[:, None], 1.0, -odds)
    return ratio(weights @ worth, weights.sum(axis=1, keepdims=True))


def treat_all(y: Bools, thresholds: ArrayLike, weights: Values) -> Values:
    """Net benefit of treating every row, (R, T)."""
    t = _checked(thresholds)
    share = ratio(weights @ y.astype(np.float64), weights.sum(axis=1))[:, None]
    result: Values = share - (1 - share) * t / (1 - t)
    return result


def curve(
    y: ArrayLike,
    p: ArrayLike,
    patients: ArrayLike,
    thresholds: Sequence[float] = THRESHOLDS,
    replicates: int = 2000,
    seed: int = 0,
) -> DecisionCurve:
    """The decision curve of labels y, probabilities p and patient keys, (n,) each, with its 95% interval.

    The rows of a patient are summed first, so that the replicates cost the number of patients, not of rows.
    """
    truth, score, keys = np.asarray(y, dtype=bool), np.asarray(p, dtype=np.float64), np.asarray(patients)
    if truth.ndim != 1 or truth.shape != score.shape or keys.shape != truth.shape or len(truth) == 0:
        raise EvaluationError(
            f"Labels {truth.shape}, probabilities {score.shape} and patients {keys.shape} must be equally long lists "
            "with at least one row."
        )
    t = _checked(thresholds)
    odds = t / (1 - t)
    _, owner = np.unique(keys, return_inverse=True)
    total = int(owner.max()) + 1
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    worth = np.empty((total, len(t)))
    for k, limit in enumerate(t):  # one threshold at a time, so that memory does not grow with their number
        each = (score >= limit) * np.where(truth, 1.0, -odds[k])
        worth[:, k] = np.add.reduceat(each[order], starts)
    size = np.bincount(owner, minlength=total).astype(np.float64)
    positive = np.bincount(owner, truth, minlength=total)

    def both(w: Values) -> tuple[Values, Values]:
        n = (w @ size)[:, None]
        share = (w @ positive)[:, None] / n
        return w @ worth / n, share - (1 - share) * odds

    model, everyone = (side[0] for side in both(np.ones((1, total))))
    spread: list[Values] = []
    gains: list[Values] = []
    everyones: list[Values] = []
    for w in intervals.draws(total, replicates, seed):
        found, all_treated = both(w)
        spread.append(found)
        gains.append(found - np.maximum(all_treated, 0.0))
        everyones.append((w @ positive) / (w @ size))
    low, high = np.quantile(np.concatenate(spread), [0.025, 0.975], axis=0)
    # treating all is worth more the more positives there are, so the ends of their share give its own
    shares = np.quantile(np.concatenate(everyones), [0.025, 0.975])
    all_low, all_high = (share - (1 - share) * odds for share in shares)
    gain_low, gain_high = np.quantile(np.concatenate(gains), [0.025, 0.975], axis=0)
    return DecisionCurve(
        _plain(t),
        _plain(model),
        _plain(low),
        _plain(high),
        _plain(everyone),
        _plain(all_low),
        _plain(all_high),
        _plain(model - np.maximum(everyone, 0.0)),
        _plain(gain_low),
        _plain(gain_high),
        float(truth.mean()),
        total,
        len(truth),
        int(truth.sum()),
    )


def _checked(thresholds: ArrayLike) -> NDArray[np.float64]:
    t = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if not ((t > 0) & (t < 1)).all():
        raise EvaluationError(f"Threshold probabilities {t.tolist()} must lie between 0 and 1, both excluded.")
    return t


def _plain(values: Values) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
