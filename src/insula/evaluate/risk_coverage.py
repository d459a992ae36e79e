"""What referring the least confident cases is worth: the error among the accepted at every share of accepted cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.metrics import proportion, resample
from insula.metrics.intervals import Figure

Floats = NDArray[np.float64]
DRAWN = 200


@dataclass(frozen=True)
class RiskCoverage:
    """The risk–coverage curve and its area.

    coverage, risk: at each threshold on confidence (thinned for drawing) the share accepted and the error among them.
    aurc: area under the curve, the mean error over all numbers of accepted cases. at_random: the area of a referral by
    lot, which is the error of all. gain: their difference; what confidence saves on average, 0 when it knows nothing.
    best: the area of a confidence that puts every right case first.
    """

    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    aurc: Figure
    at_random: Figure
    gain: Figure
    best: float


def judge(
    confidence: ArrayLike, right: ArrayLike, patients: ArrayLike, replicates: int = 2000, seed: int = 0
) -> RiskCoverage:
    """The curve of (n,) confidences and outcomes, with intervals over patients (n,).

    The area is the AURC of Geifman, Uziel and El-Yaniv (ICLR 2019); cases of equal confidence are accepted in every
    order at once, so that ties neither help nor harm. Raises EvaluationError for lists that do not fit or are empty.
    """
    c, ok, owners = np.asarray(confidence, np.float64), np.asarray(right, bool), np.asarray(patients)
    if c.ndim != 1 or ok.shape != c.shape or owners.shape != c.shape or len(c) == 0 or not np.isfinite(c).all():
        raise EvaluationError("Confidences, outcomes and patients must be equal lists of at least one finite case.")
    ready = _Ready(c, ok)
    wrong = int((~ok).sum())

    def figure(name: str, which: int) -> Figure:
        return resample.figure(name, lambda w: ready.areas(w)[which], owners, wrong, "no case", replicates, seed)

    whole = np.ones(len(c), bool)
    n, k = (np.cumsum(part[0]) for part in ready.groups(whole[None].astype(float)))
    shown = np.unique(np.linspace(0, len(n) - 1, min(DRAWN, len(n))).round().astype(int))
    ranked = np.zeros(len(c))
    ranked[len(c) - wrong :] = 1.0
    return RiskCoverage(
        tuple((n[shown] / len(c)).tolist()),
        tuple((k[shown] / n[shown]).tolist()),
        figure("aurc", 0),
        proportion.figure(~ok, whole, owners, "no case"),
        figure("aurc_gain", 1),
        float((np.cumsum(ranked) / np.arange(1, len(c) + 1)).mean()),
    )


def aurc(confidence: ArrayLike, right: ArrayLike, weights: Floats | None = None) -> Floats:
    """The area under the risk–coverage curve for each row of whole-number weights (R, n); (1,) without weights."""
    c, ok = np.asarray(confidence, np.float64), np.asarray(right, bool)
    return _Ready(c, ok).areas(np.ones((1, len(c))) if weights is None else weights)[0]


class _Ready:
    """Cases in the order of falling confidence, cut into groups of equal confidence."""

    def __init__(self, confidence: Floats, right: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-confidence, kind="stable")
        ranked = confidence[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
        self._wrong = ~right[self._order]

    def groups(self, weights: Floats) -> tuple[Floats, Floats]:
        """Cases and errors of each group, (R, G) both."""
        w = weights[:, self._order]
        n: Floats = np.add.reduceat(w, self._starts, axis=1)
        k: Floats = np.add.reduceat(w * self._wrong, self._starts, axis=1)
        return n, k

    def areas(self, weights: Floats) -> tuple[Floats, Floats]:
        """Area under the curve, and by how much it lies below the error of all, (R,) each.

        Within a group of w cases and e errors behind W cases and E errors, the error among the first j is expected at
        (E + (j - W)·e/w)/j; its sum over j = W + 1 … W + w is e + (E - W·e/w)·(H(W + w) - H(W)), with the harmonic
        numbers H.
        """
        n, k = self.groups(weights)
        after, errors = np.cumsum(n, axis=1), np.cumsum(k, axis=1)
        before = after - n
        total = after[:, -1]
        harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(total.max(initial=0)) + 1))])
        rate = k / np.maximum(n, 1.0)
        span = harmonic[after.astype(np.intp)] - harmonic[before.astype(np.intp)]
        area: Floats = (k + (errors - k - before * rate) * span).sum(axis=1) / total
        saved: Floats = errors[:, -1] / total - area
        return area, saved
