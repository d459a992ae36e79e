"""A share of rows with its interval, where patients may have several rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from insula.core.errors import EvaluationError
from insula.metrics import interval_choice
from insula.metrics.classification import ratio
from insula.metrics.interval_choice import Choice, Evidence
from insula.metrics.intervals import Figure


def figure(hit: ArrayLike, among: ArrayLike, patients: ArrayLike, nothing: str) -> Figure:
    """The share of `hit` within `among`, (n,) bool both, with the interval of `intervals.wilson_modified`.

    Where patients (n,) have several of these rows, the interval is for as many independent rows as the variance between
    patients says that they are worth (see `interval_choice.effective_n`). nothing: the reason given for a share of no
    row. Raises EvaluationError for lists of different lengths.
    """
    counted = np.asarray(among, dtype=bool)
    right = np.asarray(hit, dtype=bool) & counted
    keys = np.asarray(patients)
    if right.shape != counted.shape or keys.shape != counted.shape or counted.ndim != 1:
        raise EvaluationError(
            f"Hits {right.shape}, rows {counted.shape} and patients {keys.shape} must be equal lists."
        )
    _, owner = np.unique(keys[counted], return_inverse=True)
    n, hits = int(counted.sum()), int(right.sum())
    total = int(owner.max()) + 1 if n else 0
    if n == 0:
        return Figure(float("nan"), None, "", total, n, hits, nothing)
    size = np.bincount(owner, minlength=total)
    own = np.bincount(owner, right[counted], minlength=total)
    left_out = ratio(hits - own, n - size)  # exact for any number of patients, so no replicate is drawn
    ends = interval_choice.ends(Choice("share"), Evidence(hits / n, np.zeros(0), left_out, total, n, 0))
    return Figure(hits / n, ends, interval_choice.SAID["share"], total, n, hits)
