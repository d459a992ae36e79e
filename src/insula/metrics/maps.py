"""Heat maps held against a lesion and against each other, as numbers. What is not defined is NaN with its reason.

Heat below 0 counts as none here: it lowers a score, and no lesion is looked for there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from insula.core.errors import EvaluationError
from insula.metrics import interval_choice, resample
from insula.metrics.classification import ratio
from insula.metrics.interval_choice import Choice, Evidence
from insula.metrics.intervals import Figure

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
LEVEL: Final = 0.5
LEVELS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NO_HEAT: Final = "no heat"
EMPTY: Final = "the mask is empty"
SAME: Final = "all values are the same"


@dataclass(frozen=True)
class Overlap:
    """One map against one lesion. iou: level (a share of the peak) → overlap of what is at least so hot.

    inside, near, outside: shares of the heat in the lesion, in the rest of a region around it (the brain), and beyond;
    they add up to 1; NaN for the last two without a region. reason: why what is NaN is so.
    """

    iou: Mapping[float, float]
    inside: float
    near: float
    outside: float
    reason: str = ""


def overlap(heat: ArrayLike, lesion: Bools, region: Bools | None = None, levels: Sequence[float] = LEVELS) -> Overlap:
    """Heat of any shape against masks of the same shape; what is marked as lesion is no part of the region around it.

    EvaluationError for other shapes and for a level that is not above 0 and at most 1.
    """
    h = np.maximum(np.asarray(heat, np.float64), 0.0)
    if h.shape != lesion.shape or (region is not None and region.shape != h.shape):
        raise EvaluationError(f"Heat {h.shape} and masks {lesion.shape} must have one shape.")
    if any(not 0 < level <= 1 for level in levels):
        raise EvaluationError(f"A level is a share of the peak, above 0 and at most 1, and not all of {levels} are.")
    nan = float("nan")
    nothing = dict.fromkeys(levels, nan)
    if not lesion.any():
        return Overlap(nothing, nan, nan, nan, EMPTY)
    total = float(h.sum())
    if not total > 0:
        return Overlap(nothing, nan, nan, nan, NO_HEAT)
    iou = {level: _jaccard(h >= level * h.max(), lesion) for level in levels}
    inside = float(h[lesion].sum()) / total
    if region is None:
        return Overlap(iou, inside, nan, nan, "no region is known")
    near = float(h[region & ~lesion].sum()) / total
    return Overlap(iou, inside, near, max(0.0, 1.0 - inside - near))


def share_within(heat: ArrayLike, region: Bools) -> float:
    """The share of the heat that lies in a region; NaN where there is no heat."""
    h = np.maximum(np.asarray(heat, np.float64), 0.0)
    total = float(h.sum())
    return float(h[region].sum()) / total if total > 0 else float("nan")


def _jaccard(a: Bools, b: Bools) -> float:
    return float((a & b).sum()) / float((a | b).sum())


def order(heat: ArrayLike, first: Bools | None = None, seed: int = 0) -> NDArray[np.intp]:
    """Places of the flat map from most heat to least; equal heat in random order, those in `first` before the others.

    Without the lot, the many places of no heat would be taken from the upper left corner on. Heat below 0 comes last.
    """
    flat = np.asarray(heat, np.float64).ravel()
    lot = np.random.default_rng(seed).random(flat.size)
    later = np.zeros(flat.size) if first is None else ~first.ravel()
    return np.lexsort((lot, later, -flat))


def shares(steps: int) -> Floats:
    """Shares of the places, from 0 to 1, at which a curve is measured: (i / steps)².

    Squares, since a lesion takes a small share of a scan, and even steps would cover it whole in the first one.
    """
    if steps < 2:
        raise EvaluationError(f"A curve of {steps} steps has no shape; take at least 2.")
    found: Floats = (np.arange(steps + 1) / steps) ** 2
    return found


def area(share: ArrayLike, value: ArrayLike) -> float:
    """Area under a curve over shares from 0 to 1 by the trapezoid rule; NaN where a value is not finite."""
    return float(np.trapezoid(np.asarray(value, np.float64), np.asarray(share, np.float64)))


def similarity(a: ArrayLike, b: ArrayLike, among: Bools | None = None) -> float:
    """Spearman's rank correlation of two maps of one shape, over the places `among`; NaN where a map is level there."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape or (among is not None and among.shape != x.shape):
        raise EvaluationError(f"Maps of {x.shape} and {y.shape} cannot be compared place by place.")
    x, y = (m.ravel() if among is None else m[among] for m in (x, y))
    if x.size < 2:
        return float("nan")
    p, q = (rankdata(m) - (x.size + 1) / 2 for m in (x, y))
    size = float(np.sqrt((p @ p) * (q @ q)))
    return float(p @ q) / size if size > 0 else float("nan")


def mean(values: ArrayLike, patients: ArrayLike, nothing: str, signed: bool = False) -> Figure:
    """The mean of values between 0 and 1 (signed: −1 and 1) over rows, with its interval over patients; NaN left out.

    Wilson's form for the number of rows that the jackknife over patients makes it worth, Student's t; no bootstrap,
    which holds the truth too seldom for ten patients and fewer. nothing: the reason where no value is defined.
    """
    v, owners = np.asarray(values, np.float64), np.asarray(patients)
    if v.shape != owners.shape or v.ndim != 1:
        raise EvaluationError(f"Values {v.shape} and patients {owners.shape} must be equal lists.")
    there = np.isfinite(v)
    v = v[there]
    _, owner = np.unique(owners[there], return_inverse=True)
    n = len(v)
    total = int(owner.max()) + 1 if n else 0
    counts = (total, n, n)
    if n == 0:
        return Figure(float("nan"), None, "", *counts, nothing)
    size, own = np.bincount(owner), np.bincount(owner, v)
    left_out = ratio(v.sum() - own, n - size)
    evidence = Evidence(float(v.mean()), np.zeros(0), left_out, total, n, 0)
    choice = Choice("signed score" if signed else "score")
    if total >= interval_choice.FEWEST and float(np.ptp(v)) < 1e-12:
        return Figure(float(v.mean()), None, "", *counts, SAME)
    return resample.judged(choice, evidence, counts)
