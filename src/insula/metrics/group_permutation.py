"""How far groups lie apart by chance alone: their labels dealt anew among patients of the same truth.

Permutation tests of fairness: DiCiccio et al., KDD 2020. What is tested is that the answers know nothing of the group
beyond what the truth knows of it (equalised odds, for the score as a whole); each group keeps its prevalence, so that
for demographic parity the expectation is what prevalence and chance would bring. One row is one patient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from insula.core.errors import EvaluationError
from insula.metrics import fairness
from insula.metrics.classification import Values
from insula.metrics.fairness import Codes

_EXACT = 100_000  # pairs of tables that are looked at one by one
_BLOCK = 2_000_000
_SLACK = 1e-12
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Permuted:
    """A gap between groups, what chance alone brings on average, and the share of permutations with as large a gap.

    exact: all permutations were counted; otherwise `draws` were, and the sample itself counts as one more.
    """

    value: float
    expected: float
    p_value: float
    exact: bool
    draws: int


def gaps(y: ArrayLike, called: ArrayLike, groups: ArrayLike, seed: int, draws: int = 9999) -> dict[str, Permuted]:
    """Every gap of `fairness.gaps` under permutation; y, called (n,) bool, groups (n,) numbers from 0.

    Only how many of each group are called counts, among positives and among negatives: hypergeometric numbers, all of
    which are counted where there are few. For a ratio the smallest are the extreme ones.
    """
    truth, answer, of = np.asarray(y, dtype=bool), np.asarray(called, dtype=bool), np.asarray(groups, dtype=np.intp)
    count = int(of.max()) + 1 if len(of) else 0
    if count < 2:
        raise EvaluationError(f"{count} group cannot lie apart; a permutation test needs two.")
    seen = fairness.gaps(fairness.tables(truth, answer, of, count, np.ones((1, len(truth)))))
    sizes = np.stack([np.bincount(of[truth == side], minlength=count) for side in (True, False)])
    hits = (int(answer[truth].sum()), int(answer[~truth].sum()))
    whole = _all(sizes[0], hits[0], sizes[1], hits[1])
    if whole is None:
        rng = np.random.default_rng(seed)
        tp = rng.multivariate_hypergeometric(sizes[0], hits[0], size=draws, method="marginals")
        fp = rng.multivariate_hypergeometric(sizes[1], hits[1], size=draws, method="marginals")
        chance = np.full(draws, 1.0 / draws)
    else:
        tp, fp, chance = whole
    dealt = fairness.gaps(np.stack([tp, fp, sizes[0] - tp, sizes[1] - fp], axis=-1).astype(np.float64))
    return {
        name: _judged(float(seen[name][0]), dealt[name], chance, name.endswith("ratio"), whole is not None)
        for name in fairness.GAPS
    }


def areas(y: ArrayLike, p: ArrayLike, groups: ArrayLike, seed: int, draws: int = 1999) -> Permuted:
    """The difference between the largest and the smallest ROC-AUC of the groups under permutation."""
    truth, score, of = np.asarray(y, dtype=bool), np.asarray(p, dtype=np.float64), np.asarray(groups, dtype=np.intp)
    count = int(of.max()) + 1 if len(of) else 0
    if count < 2:
        raise EvaluationError(f"{count} group cannot lie apart; a permutation test needs two.")
    seen = float(fairness.apart(fairness.areas(truth, score, of, count, np.ones((1, len(truth)))))[0])
    everyone = np.zeros(len(of), dtype=np.intp)
    found = []
    for dealt in _dealt(truth, of, seed, draws):
        each = [fairness.areas(truth, score, everyone, 1, (dealt == g).astype(np.float64))[:, 0] for g in range(count)]
        found.append(fairness.apart(np.stack(each, axis=1)))
    return _judged(seen, np.concatenate(found), np.full(draws, 1.0 / draws), False, False)


def _dealt(truth: NDArray[np.bool_], groups: Codes, seed: int, draws: int) -> Iterator[Codes]:
    """Groups of the rows dealt anew within positives and within negatives, as blocks (r, n)."""
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // max(len(truth), 1))
    for start in range(0, draws, step):
        block = np.tile(groups, (min(step, draws - start), 1))
        for side in (truth, ~truth):
            block[:, side] = rng.permuted(block[:, side], axis=1)
        yield block


def _judged(seen: float, dealt: Values, chance: Values, small: bool, exact: bool) -> Permuted:
    """The gap beside its permutations; one for which it is not defined counts as none that reaches it."""
    known = np.isfinite(dealt)
    draws = len(dealt)
    if not math.isfinite(seen) or not known.any():
        return Permuted(seen, math.nan, math.nan, exact, draws)
    expected = float((dealt[known] * chance[known]).sum() / chance[known].sum())
    as_far = known & ((dealt <= seen + _SLACK) if small else (dealt >= seen - _SLACK))
    share = float(chance[as_far].sum())
    p_value = min(share, 1.0) if exact else (1 + round(share * draws)) / (1 + draws)
    return Permuted(seen, expected, p_value, exact, draws)


def _all(positives: Counts, called: int, negatives: Counts, alarms: int) -> tuple[Counts, Counts, Values] | None:
    """All pairs of numbers of called positives and negatives by group, and their probabilities; None for too many."""
    first = _ways(positives, called)
    second = None if first is None else _ways(negatives, alarms)
    if first is None or second is None or len(first[0]) * len(second[0]) > _EXACT:
        return None
    tp = np.repeat(first[0], len(second[0]), axis=0)
    fp = np.tile(second[0], (len(first[0]), 1))
    return tp, fp, np.outer(first[1], second[1]).ravel()


def _ways(sizes: Counts, hits: int) -> tuple[Counts, Values] | None:
    """Ways (W, G) in which `hits` fall to groups of these sizes, with their probabilities; None for too many."""
    spans = [range(max(0, hits - int(sizes.sum() - size)), min(int(size), hits) + 1) for size in sizes]
    if math.prod(len(span) for span in spans[:-1]) > _EXACT:
        return None
    ahead = np.array(list(product(*spans[:-1])), dtype=np.int64).reshape(-1, len(sizes) - 1)
    last = hits - ahead.sum(axis=1)
    fits = (last >= 0) & (last <= sizes[-1])
    ways = np.column_stack([ahead[fits], last[fits]])
    logs = _log_choose(sizes, ways).sum(axis=1) - _log_choose(np.array(sizes.sum()), np.array(hits))
    return ways, np.exp(logs)


def _log_choose(n: Counts, k: Counts) -> Values:
    found: Values = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found
