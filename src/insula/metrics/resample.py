"""Any figure with its 95% interval over patients, from the function that computes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.metrics import interval_choice, intervals
from insula.metrics.interval_choice import FEWEST, JACKKNIFE_UP_TO, Choice, Evidence
from insula.metrics.intervals import Figure

Values = NDArray[np.float64]
Compute = Callable[[Values], Values]
TOO_FEW = "fewer than half of the bootstrap samples define it: too few patients"


def left_out(patients: int) -> Values:
    """Weights of the jackknife: each patient left out once, (patients, patients); (0, patients) where there are many.

    Above JACKKNIFE_UP_TO patients the spread of the bootstrap says the same, so that none is needed.
    """
    if patients > JACKKNIFE_UP_TO:
        return np.zeros((0, patients))
    return np.ones((patients, patients)) - np.eye(patients)


def figure(
    name: str,
    compute: Compute,
    patients: ArrayLike,
    events: int,
    nothing: str,
    replicates: int = 2000,
    seed: int = 0,
    rarest: int = 0,
) -> Figure:
    """A figure of n rows with the interval that `interval_choice` has for its name (BCa for one that it does not know).

    compute: weights (R, n) → (R,) values, NaN where undefined. patients: (n,) keys. events: how many rows are events.
    nothing: the reason that is given where the figure itself is undefined. rarest: patients of the rarest class, where
    there are classes and the form asks for it; 0 for unknown.
    """
    keys = np.asarray(patients)
    unique, index = np.unique(keys, return_inverse=True)
    counts = (len(unique), len(keys), events)
    value = float(compute(np.ones((1, len(keys))))[0]) if len(keys) else float("nan")
    if not np.isfinite(value):
        return Figure(value, None, "", *counts, nothing)
    spread = np.concatenate([compute(w) for w in intervals.replicates(keys, replicates, seed)])
    jackknife = compute(left_out(len(unique))[:, index])
    evidence = Evidence(value, spread, jackknife, len(unique), len(keys), rarest)
    return judged(interval_choice.of(name), evidence, counts)


def judged(choice: Choice, evidence: Evidence, counts: tuple[int, int, int]) -> Figure:
    """The figure of some evidence in the chosen form, or with the reason why it has no interval."""
    value = evidence.value
    if choice.form != "share" and 2 * np.isfinite(evidence.spread).sum() < len(evidence.spread):
        return Figure(value, None, "", *counts, TOO_FEW)
    found = interval_choice.ends(choice, evidence)
    if found is None and choice.form == "auc" and 0 < evidence.rarest < evidence.patients and value in (0.0, 1.0):
        ends = intervals.newcombe_auc(value, evidence.rarest, evidence.patients - evidence.rarest)
        return Figure(value, ends, "Newcombe", *counts)
    if found is None and choice.form not in ("bca", "gaps") and interval_choice.counted(choice, evidence) < FEWEST:
        of = "of a class" if choice.freedom == "rarest" and evidence.rarest else "behind it"
        return Figure(value, None, "", *counts, f"fewer than {FEWEST} patients {of}: too few for an interval")
    if found is None and not np.isfinite(evidence.jackknife).all():
        return Figure(value, None, "", *counts, "a single patient decides whether it is defined: too few patients")
    if found is None or intervals.is_degenerate(found):
        return Figure(value, None, "", *counts, "all bootstrap samples agree")
    return Figure(value, found, interval_choice.SAID[choice.form], *counts, note=choice.note)
