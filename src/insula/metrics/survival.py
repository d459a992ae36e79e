"""Time to an event: who is at higher risk, and how likely is survival to a given time.

time: (n,) follow-up times. event: (n,) bool, False where follow-up ended without the event (censored). risk: (n,) log
relative hazards, larger is worse. weights: (R, n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.metrics.classification import Values, ratio

_BLOCK = 8_000_000


@dataclass(frozen=True)
class Baseline:
    """Breslow's cumulative baseline hazard: its value from each event time on, and the end of follow-up."""

    times: tuple[float, ...]
    hazard: tuple[float, ...]
    last: float


def concordance(time: ArrayLike, event: ArrayLike, risk: ArrayLike, weights: Values) -> Values:
    """Harrell's C: the share of comparable pairs where the earlier had more risk (Statistics in Medicine 15:361, 1996).

    A pair is comparable when the earlier time is an event, or both times are equal and one of them is; equal risks
    count half. (R,), NaN without a comparable pair. Cost: n·log n per replicate, at most 64 MB of tree.
    """
    t, e, r = _checked(time, event, risk)
    rank = np.unique(r, return_inverse=True)[1]
    size = int(rank.max()) + 1
    groups = _by_time(t, e)
    up_to = [_nodes_up_to(i + 1) for i in range(size)]
    into = [_nodes_from(i + 1, size) for i in range(size)]
    step = max(1, _BLOCK // (size + 1))
    parts = [_concordance(groups, rank, up_to, into, weights[i : i + step].T) for i in range(0, len(weights), step)]
    return np.concatenate(parts)


def breslow(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> Baseline:
    """Cumulative baseline hazard, Σ over event times of deaths / Σ exp(risk) of those still at risk (Breslow 1972).

    Raises EvaluationError without a single event.
    """
    t, e, r = _checked(time, event, risk)
    if not e.any():
        raise EvaluationError("Nobody had the event, so there is no baseline hazard; add cases with events.")
    order = np.argsort(t, kind="stable")
    top = r.max()  # taken out before exp, so that it cannot overflow
    hazards = np.exp(r - top)[order]
    still = np.cumsum(hazards[::-1])[::-1]
    times, deaths = np.unique(t[e], return_counts=True)
    jumps = deaths / still[np.searchsorted(t[order], times, side="left")]
    cumulative = np.cumsum(jumps) * np.exp(-top)
    return Baseline(tuple(times.tolist()), tuple(cumulative.tolist()), float(t.max()))


def survival(baseline: Baseline, risk: ArrayLike, horizons: ArrayLike) -> Values:
    """Chance (n, H) of no event up to each horizon, exp(−H₀(t)·exp(risk)); NaN beyond the end of follow-up."""
    at = np.atleast_1d(np.asarray(horizons, dtype=np.float64))
    r = np.asarray(risk, dtype=np.float64)
    steps = np.concatenate([[0.0], baseline.hazard])
    hazard = np.where(at > baseline.last, np.nan, steps[np.searchsorted(baseline.times, at, side="right")])
    result: Values = np.exp(-hazard[None, :] * np.exp(r)[:, None])
    return result


def brier_at(time: ArrayLike, event: ArrayLike, chance: ArrayLike, horizon: float, weights: Values) -> Values:
    """Brier score (R,) of survival chances (n,) at a horizon, censored cases reweighted (Graf et al. 1999).

    Cases with the event by then weigh 1/G(their time −), those still followed 1/G(horizon), with G the Kaplan-Meier
    estimate of staying uncensored; cases censored before count 0. NaN where follow-up ends before the horizon.
    """
    t, e, s = _checked(time, event, chance)
    order = np.argsort(t, kind="stable")
    t, e, s, w = t[order], e[order], s[order], weights[:, order]
    times = np.unique(t)
    starts = np.searchsorted(t, times, side="left")
    died = np.add.reduceat(w * e, starts, axis=1)
    gone = np.add.reduceat(w * ~e, starts, axis=1)
    left = (
        np.cumsum((died + gone)[:, ::-1], axis=1)[:, ::-1] - died
    )  # deaths leave before the censored of the same time
    stay = np.cumprod(np.where(left > 0, 1 - ratio(gone, np.where(left > 0, left, 1.0)), 1.0), axis=1)
    staying = np.hstack([np.ones((len(w), 1)), stay])
    before = staying[:, np.searchsorted(times, t, side="left")]
    at_horizon = staying[:, np.searchsorted(times, horizon, side="right")]
    by_then, after = e & (t <= horizon), t > horizon
    share = ratio(w * by_then, np.where(w * by_then > 0, before, 1.0))
    score = (share * s**2).sum(axis=1) + np.nan_to_num(ratio((w * after * (1 - s) ** 2).sum(axis=1), at_horizon))
    followed = ((w * after).sum(axis=1) > 0) | ((w * ~by_then).sum(axis=1) == 0)
    return ratio(np.where(followed, score, np.nan), w.sum(axis=1))


def _checked(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> tuple[Values, NDArray[np.bool_], Values]:
    t, e = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=bool)
    r = np.asarray(risk, dtype=np.float64)
    if t.ndim != 1 or t.shape != e.shape or t.shape != r.shape or len(t) == 0:
        raise EvaluationError(
            f"Times {t.shape}, events {e.shape} and predictions {r.shape} must be equally long lists with a row each."
        )
    if not (np.isfinite(t).all() and np.isfinite(r).all()):
        raise EvaluationError("Some times or predictions are not finite; correct the table or predict again.")
    return t, e, r


def _by_time(t: Values, e: NDArray[np.bool_]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows with an event and rows without one at each time, in order of the times."""
    order = np.argsort(t, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(t[order])) + 1)
    return [(part[e[part]], part[~e[part]]) for part in parts]


def _nodes_up_to(end: int) -> NDArray[np.intp]:
    """Nodes of a binary indexed tree (Fenwick, Software 24:327, 1994) that together hold the places 1..end."""
    found = []
    while end > 0:
        found.append(end)
        end -= end & -end
    return np.array(found, dtype=np.intp)


def _nodes_from(place: int, size: int) -> NDArray[np.intp]:
    """Nodes whose sums hold a place."""
    found = []
    while place <= size:
        found.append(place)
        place += place & -place
    return np.array(found, dtype=np.intp)


def _concordance(
    groups: list[tuple[NDArray[np.intp], NDArray[np.intp]]],
    rank: NDArray[np.intp],
    up_to: list[NDArray[np.intp]],
    into: list[NDArray[np.intp]],
    w: Values,
) -> Values:
    """One block of replicates; w: (n, r). The tree holds the weights of those who had the event before, by risk."""
    w = np.ascontiguousarray(w)
    replicates = w.shape[1]
    tree = np.zeros((len(up_to) + 1, replicates))
    equal = np.zeros((len(up_to), replicates))
    pooled, pairs, wins = np.zeros(replicates), np.zeros(replicates), np.zeros(replicates)

    def compare(rows: NDArray[np.intp]) -> None:
        for row in rows:
            k = rank[row]
            not_above = tree[up_to[k]].sum(axis=0)
            np.add(pairs, w[row] * pooled, out=pairs)
            np.add(wins, w[row] * (pooled - not_above + 0.5 * equal[k]), out=wins)

    for died, censored in groups:
        compare(died)
        for row in died:
            tree[into[rank[row]]] += w[row]
            equal[rank[row]] += w[row]
            pooled += w[row]
        compare(censored)
    return ratio(wins, pairs)
