"""A linear probe: how well a straight cut through the embeddings tells groups apart in patients it was not fitted to.

Ridge regression on a 0 and 1 for each group. For fixed folds its cross-validated scores are a matrix times the labels,
so that the whole probe can be repeated on hundreds of shuffled labellings at the price of one product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from insula.metrics.intervals import Figure
from insula.metrics.ranking import Ranking, rank
from insula.metrics.resample import figure

Values = NDArray[np.float64]
Codes = NDArray[np.intp]
FOLDS = 5
COMPONENTS = 64
PATIENTS_EACH = 5  # for each component: more of them fit what is not there
RIDGE = 10.0  # as if so many further patients lay in the middle


@dataclass(frozen=True)
class Probed:
    """ROC-AUC with its interval, and the share of shuffled labellings whose probe reaches it, itself counted once."""

    auc: Figure
    p_value: float


def components(z: NDArray[np.floating], patients: Sequence[str]) -> Values:
    """The first principal components of rows (n, E), each of variance 1: one for every five patients, at most 64."""
    x = np.asarray(z, np.float64)
    x = x - x.mean(axis=0)
    most = min(COMPONENTS, max(1, len(set(patients)) // PATIENTS_EACH))
    variance, axes = np.linalg.eigh(x.T @ x / max(1, len(x) - 1))
    kept = np.flatnonzero(variance > 1e-9 * max(float(variance[-1]), 1e-12))[::-1][:most]
    found: Values = x @ axes[:, kept] / np.sqrt(variance[kept])
    return found


def smoother(x: Values, owners: NDArray[np.str_], seed: int) -> Values:
    """The matrix (n, n) that makes cross-validated scores out of labels: each row's by a fit on other patients.

    x: (n, C). A patient counts once, however many rows there are. A score is the ridge regression's answer less the
    mean label that it was fitted to, so that folds of different mixtures can be ranked together.
    """
    _, owner, count = np.unique(owners, return_inverse=True, return_counts=True)
    fold = (np.random.default_rng(seed).permutation(len(count)) % FOLDS)[owner]
    weight = 1.0 / count[owner]
    found = np.zeros((len(x), len(x)))
    for f in range(min(FOLDS, len(count))):
        held, fit = np.flatnonzero(fold == f), np.flatnonzero(fold != f)
        w = weight[fit] / weight[fit].sum()
        middle = w @ x[fit]
        a = (x[fit] - middle) * weight[fit][:, None]
        inner = a.T @ (x[fit] - middle) + RIDGE * np.eye(x.shape[1])
        part = (x[held] - middle) @ np.linalg.solve(inner, a.T)
        found[np.ix_(held, fit)] = part - part.sum(axis=1, keepdims=True) * w  # labels less their mean
    return found


def judge(
    matrix: Values,
    codes: Codes,
    owners: NDArray[np.str_],
    k: int,
    strata: Codes | None,
    shuffled: Iterable[Codes],
    replicates: int,
    seed: int,
) -> Probed:
    """ROC-AUC of the probe for codes (n,) of k groups; the mean of each group against the rest, where k > 2.

    strata: (n,), where only pairs of one stratum are compared; -1 for rows that are in none. shuffled: labellings
    (B, n) that chance could have given.
    """
    groups = (1,) if k == 2 else tuple(range(k))
    places = (
        [np.arange(len(codes))]
        if strata is None
        else [np.flatnonzero(strata == s) for s in np.unique(strata[strata >= 0])]
    )
    score = matrix @ (codes[:, None] == np.array(groups))
    ranked = [
        [(rank(codes[rows] == g, score[rows, j], rows), rows, codes[rows] == g) for rows in places if len(rows)]
        for j, g in enumerate(groups)
    ]
    value = float(np.mean([_areas(matrix, (codes == g)[:, None], places)[0] for g in groups]))
    drawn = np.concatenate(
        [np.mean([_areas(matrix, (block == g).T, places) for g in groups], axis=0) for block in shuffled]
    )
    reached = int((drawn >= value - 1e-12).sum())
    fewest = min(len(set(owners[codes == c].tolist())) for c in range(k))
    auc = figure(
        "roc_auc" if k == 2 and strata is None else "probe_auc",
        _compute(ranked),
        owners,
        int(np.bincount(codes, minlength=k).min()),
        "no two cases of one class differ in it" if strata is not None else "a group is empty",
        replicates,
        seed,
        fewest,
    )
    return Probed(auc, (reached + 1) / (len(drawn) + 1) if np.isfinite(value) else float("nan"))


def _compute(ranked: Sequence[Sequence[tuple[Ranking, Codes, NDArray[np.bool_]]]]) -> Callable[[Values], Values]:
    def compute(w: Values) -> Values:
        found: Values = np.mean([_pooled(parts, w) for parts in ranked], axis=0)
        return found

    return compute


def _pooled(parts: Sequence[tuple[Ranking, Codes, NDArray[np.bool_]]], w: Values) -> Values:
    """AUCs (R,) of strata, each by its number of pairs."""
    total, pairs = np.zeros(len(w)), np.zeros(len(w))
    for ranking, rows, y in parts:
        area = ranking.figures(w)[0]
        count = w[:, rows[y]].sum(axis=1) * w[:, rows[~y]].sum(axis=1)
        total += np.where(count > 0, np.nan_to_num(area) * count, 0.0)
        pairs += count
    found = np.full(len(w), np.nan)
    np.divide(total, pairs, out=found, where=pairs > 0)
    return found


def _areas(matrix: Values, y: NDArray[np.bool_], places: Sequence[Codes]) -> Values:
    """AUC (B,) of the probe of each labelling y (n, B), over pairs of one stratum, as a share of those pairs."""
    score = matrix @ y
    above, pairs = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for rows in places:
        m = y[rows].sum(axis=0).astype(np.float64)
        ranks = rankdata(score[rows], axis=0) if len(rows) else np.zeros((0, y.shape[1]))
        above += (ranks * y[rows]).sum(axis=0) - m * (m + 1) / 2
        pairs += m * (len(rows) - m)
    found = np.full(y.shape[1], np.nan)
    np.divide(above, pairs, out=found, where=pairs > 0)
    return found
