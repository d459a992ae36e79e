"""What chance would give: the same predictions with shuffled labels, and runs that were trained on shuffled labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from insula.evaluate.evidence import Guard, Permutation
from insula.metrics.intervals import Figure

SHUFFLES = 2000
_CELLS = 4_000_000


def permutation(y: ArrayLike, p: ArrayLike, shuffles: int = SHUFFLES, seed: int = 0) -> Permutation:
    """The ROC-AUC of n patients against that of the same probabilities with the labels shuffled.

    One-sided p-value with the sample itself counted once (Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9:39, 2010).
    """
    truth, score = np.asarray(y, dtype=bool), np.asarray(p, dtype=np.float64)
    m, n = int(truth.sum()), int((~truth).sum())
    if m == 0 or n == 0:
        return Permutation(None, None, None, None, 0)
    rank = rankdata(score)
    least = m * (m + 1) / 2
    value = (float(rank[truth].sum()) - least) / (m * n)
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // len(score))
    found = []
    for start in range(0, shuffles, step):
        shuffled = rng.permuted(np.tile(rank, (min(step, shuffles - start), 1)), axis=1)
        found.append((shuffled[:, :m].sum(axis=1) - least) / (m * n))
    areas = np.concatenate(found)
    low, high = np.quantile(areas, [0.025, 0.975])
    as_high = int((areas >= value - 1e-12).sum())
    return Permutation(value, float(low), float(high), (as_high + 1) / (shuffles + 1), shuffles)


def guard(roc_auc: Figure) -> Guard:
    """For a model that was trained on shuffled labels: its ROC-AUC on true labels must not be told from chance.

    Where it is above, something of the test cases has reached the training; where it is below, the labels or the split
    hang together in another way. Both fail.
    """
    if roc_auc.interval is None:
        told = f"the model was trained on shuffled labels and its ROC-AUC has no interval ({roc_auc.reason})"
        return Guard("chance", "cannot tell", told)
    low, high = roc_auc.interval
    ends = f"{roc_auc.value:.3f} ({low:.3f} to {high:.3f})"
    if low <= 0.5 <= high:
        return Guard("chance", "pass", f"trained on shuffled labels, its ROC-AUC of {ends} holds 0.5, as it should")
    return Guard("chance", "fail", f"it was trained on shuffled labels and yet its ROC-AUC is {ends}, not chance")
