"""Figures that rest on the order of the scores: rows are sorted once, replicates only add up weights.

Positives and negatives are kept apart, each ascending by score. With w the weights of a replicate, the negatives below
a positive are one running sum, looked up at a place that is known beforehand; so a replicate costs one pass over the
rows, and whole weights give whole sums: nothing is rounded, equal scores included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = NDArray[np.intp]
_CACHED = 100_000  # weights worked on at once, so that they stay in the cache


@dataclass(frozen=True)
class Ranking:
    """Sorted rows of one label.

    positives, negatives: the column of the weights that each row takes its own from, ascending by score. below, up_to:
    how many negatives score less than, and at most as much as, each positive. own: how many positives score less.
    steps: ends of the groups of equal negatives; reach: how many positives score less than, and at most as much as,
    each such group.
    """

    positives: Places
    negatives: Places
    below: Places
    up_to: Places
    own: Places
    steps: Places
    reach: tuple[Places, Places]
    tied: bool

    def figures(self, weights: Values) -> tuple[Values, Values]:
        """ROC-AUC and average precision, (R,) each, for weights (R, columns)."""
        found = _in_parts(self._figures, weights, len(self.positives) + len(self.negatives))
        return found[0], found[1]

    def band(self, weights: Values, grid: Values) -> Values:
        """True positive rates (R, G) at ascending false positive rates (G,); NaN in replicates without both classes."""
        return _in_parts(lambda w: self._band(w, grid), weights, len(self.positives) + len(self.negatives)).T

    def _figures(self, weights: Values) -> Values:
        wp, negative = np.take(weights, self.positives, axis=1), _running(np.take(weights, self.negatives, axis=1))
        positive = _running(wp)
        p, n = positive[:, -1], negative[:, -1]
        lost = np.take(negative, self.below, axis=1)
        twice = lost + np.take(negative, self.up_to, axis=1) if self.tied else lost * 2.0
        found = np.full((2, len(weights)), np.nan)
        both = p * n
        np.divide(_rows_dot(wp, twice), 2.0 * both, out=found[0], where=both > 0)
        tp = p[:, None] - np.take(positive, self.own, axis=1)
        all_called = tp + n[:, None]
        all_called -= lost
        np.divide(tp, all_called, out=tp, where=all_called > 0)  # rows of no weight count for nothing
        np.divide(_rows_dot(wp, tp), p, out=found[1], where=p > 0)
        return found

    def _band(self, weights: Values, grid: Values) -> Values:
        positive = _running(np.take(weights, self.positives, axis=1))
        negative = _running(np.take(weights, self.negatives, axis=1))
        result = np.full((len(weights), len(grid)), np.nan)
        groups = len(self.steps)
        for row, (up, down) in enumerate(zip(positive, negative, strict=True)):
            p, n = up[-1], down[-1]
            if p == 0 or n == 0:
                continue
            false = ((n - down[self.steps]) / n)[::-1]  # the rate once the highest 1, 2, … groups are called
            j = np.searchsorted(false, grid, side="right")  # groups called whole; the next one is called in part
            last = groups - np.minimum(j + 1, groups)  # that next group, counted from the lowest
            start = np.where(j > 0, false[np.maximum(j, 1) - 1], 0.0)
            end = false[np.minimum(j, groups - 1)]
            part = np.divide(grid - start, end - start, out=np.zeros(len(grid)), where=end > start)
            low, high = p - up[self.reach[1][last]], p - up[self.reach[0][last]]
            result[row] = np.where(j >= groups, 1.0, (low + part * (high - low)) / p)
        return result.T


def rank(y: Bools, p: Values, columns: Places | None = None) -> Ranking:
    """Sort labels y and scores p, (n,) each. columns (n,): where each row finds its weight, by default its own."""
    at = np.arange(len(y)) if columns is None else columns
    of_positive, of_negative = np.flatnonzero(y), np.flatnonzero(~y)
    of_positive = of_positive[np.argsort(p[of_positive], kind="stable")]
    of_negative = of_negative[np.argsort(p[of_negative], kind="stable")]
    ups, downs = p[of_positive], p[of_negative]
    below, up_to = np.searchsorted(downs, ups, side="left"), np.searchsorted(downs, ups, side="right")
    starts = np.flatnonzero(np.append(True, downs[1:] != downs[:-1])) if len(downs) else np.zeros(0, dtype=np.intp)
    return Ranking(
        at[of_positive],
        at[of_negative],
        below,
        up_to,
        np.searchsorted(ups, ups, side="left"),
        starts,
        (
            np.searchsorted(ups, downs[starts], side="left"),
            np.searchsorted(ups, downs[starts], side="right"),
        ),
        bool((below != up_to).any()),
    )


def _running(values: Values) -> Values:
    sums = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _rows_dot(a: Values, b: Values) -> Values:
    result: Values = np.einsum("rn,rn->r", a, b)
    return result


def _in_parts(compute: Callable[[Values], Values], weights: Values, rows: int) -> Values:
    """Ask for few replicates at a time; the last axis of what comes back counts them."""
    step = max(1, _CACHED // max(rows, 1))
    return np.concatenate([compute(weights[i : i + step]) for i in range(0, max(len(weights), 1), step)], axis=-1)
