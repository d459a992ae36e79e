"""From which confidence on cases are accepted, so that the errors among them stay within a bound, with a confidence.

Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021) with fixed-sequence testing: the thresholds of
`GRID`, fixed beforehand, are tested from the highest down, each by the exact binomial test of "the risk is above the
bound", until the first one that is not rejected. The last rejected one is taken. Where the first test stands is a
matter of power alone: at a fifth (`START`) of the patients, so that a single error among the most confident does not
end it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, binom

from insula.core.errors import EvaluationError
from insula.core.recipe_target import Target

NOTHING = 2.0
DIGITS = 6
START = 0.2

# Even steps of 0.01, and ever finer ones towards 1, where the confidences of a trained network crowd.
GRID: tuple[float, ...] = tuple(
    sorted(
        {round(0.01 * i, 2) for i in range(100)}
        | {round(1.0 - i * 10.0**-d, DIGITS) for d in (3, 4, 5, 6) for i in range(1, 10)}
    )
)


@dataclass(frozen=True)
class Referral:
    """The least confidence that is accepted and what is known of it; `NOTHING` (above 1) where every case is referred.

    share: accepted patients among all n. accepted, wrong: those that the risk is counted on, and the errors among them.
    bound: upper end of the risk at the confidence asked for (Clopper and Pearson 1934), None where nothing is accepted.
    reason: why nothing is accepted, or "".
    """

    threshold: float
    share: float
    accepted: int
    wrong: int
    bound: float | None
    n: int
    reason: str = ""


def control(
    confidence: ArrayLike,
    right: ArrayLike,
    risk: float = 0.05,
    confidence_level: float = 0.95,
    eligible: ArrayLike | None = None,
) -> Referral:
    """Accept from the least confidence at which the share of errors among the accepted is at most `risk`.

    confidence, right: (n,) of independent validation patients. eligible: (n,) those whom no other rule refers. With
    probability `confidence_level` over validation patients the bound holds for patients like them, provided that the
    risk does not rise with the threshold. Thresholds that accept fewer than a fifth of the eligible, or than
    `fewest(risk, confidence_level)`, are passed over. Raises EvaluationError for lists that do not fit.
    """
    c, free = _lists(confidence, eligible)
    ok = np.asarray(right, bool)
    if ok.shape != c.shape:
        raise EvaluationError(f"{len(c)} confidences and {ok.size} outcomes do not belong together.")
    least = fewest(risk, confidence_level)
    taken = free & (c >= np.array(GRID)[:, None])
    n, k = taken.sum(axis=1), (taken & ~ok).sum(axis=1)
    nothing = (
        f"at most {int(n.max())} of {len(c)} validation patients could be accepted, and a bound of {risk:g} with "
        f"{confidence_level:g} confidence takes {least} without an error: every case is referred"
        if int(n.max()) < least
        else f"no threshold keeps the error within {risk:g} with {confidence_level:g} confidence on the {len(c)} "
        "validation patients: every case is referred"
    )
    first = max(least, math.ceil(START * int(n.max())))
    return _descend(n, k, n >= first, n, len(c), risk, confidence_level, nothing)


def control_missed(
    confidence: ArrayLike,
    called: ArrayLike,
    positive: ArrayLike,
    risk: float = 0.05,
    confidence_level: float = 0.95,
    eligible: ArrayLike | None = None,
) -> Referral:
    """Accept from the least confidence at which at most `risk` of the positive patients are accepted as negative.

    called, positive: (n,) what the model says and what is true. The share of missed positives cannot rise with the
    threshold, so that the guarantee needs no further assumption; it is counted on all positive patients. Otherwise as
    `control`.
    """
    c, free = _lists(confidence, eligible)
    said, true = np.asarray(called, bool), np.asarray(positive, bool)
    if said.shape != c.shape or true.shape != c.shape:
        raise EvaluationError(f"{len(c)} confidences, {said.size} calls and {true.size} labels do not belong together.")
    least = fewest(risk, confidence_level)
    taken = free & (c >= np.array(GRID)[:, None])
    n, k = np.full(len(GRID), int(true.sum())), (taken & true & ~said).sum(axis=1)
    nothing = (
        f"there are {int(true.sum())} positive validation patients, and a bound of {risk:g} on the missed with "
        f"{confidence_level:g} confidence takes {least}: every case is referred"
        if int(true.sum()) < least
        else f"no threshold keeps the missed positives within {risk:g} with {confidence_level:g} confidence: every "
        "case is referred"
    )
    return _descend(n, k, n > 0, taken.sum(axis=1), len(c), risk, confidence_level, nothing)


def fewest(risk: float, confidence_level: float) -> int:
    """How many accepted patients without a single error it takes to certify a risk (the rule of three, exact)."""
    for name, value in (("risk", risk), ("confidence level", confidence_level)):
        if not 0.0 < value < 1.0:
            raise EvaluationError(f"The {name} is {value}; it must lie between 0 and 1.")
    return math.ceil(math.log(1.0 - confidence_level) / math.log1p(-risk) - 1e-9)


def judged(
    probabilities: ArrayLike, labels: ArrayLike, target: Target, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Confidence, whether the positive class was called, and whether the decision was right: (n,) each.

    probabilities, labels: (n, K). The rule is that of `decide.decide` for the threshold of the positive class.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, bool)
    if p.ndim != 2 or p.shape != y.shape or p.shape[1] != len(target.classes):
        raise EvaluationError(f"Probabilities {p.shape} and labels {y.shape} must both be (n, {len(target.classes)}).")
    k = target.positive_index
    called: NDArray[np.bool_] = p[:, k] >= threshold
    if not target.exclusive:
        chance: NDArray[np.float64] = np.where(called, p[:, k], 1.0 - p[:, k])
        return chance, called, called == y[:, k]
    others = p.copy()
    others[:, k] = -1.0
    chosen = np.where(called, k, others.argmax(axis=1))[:, None]
    confidence: NDArray[np.float64] = np.take_along_axis(p, chosen, axis=1)[:, 0]
    right: NDArray[np.bool_] = np.take_along_axis(y, chosen, axis=1)[:, 0]
    return confidence, called, right


def _lists(confidence: ArrayLike, eligible: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    c: NDArray[np.float64] = np.asarray(confidence, np.float64).round(DIGITS)  # six digits are what leaves the program
    free = np.ones(c.shape, bool) if eligible is None else np.asarray(eligible, bool)
    if c.ndim != 1 or free.shape != c.shape or not np.isfinite(c).all():
        raise EvaluationError("Confidences are one finite number a patient, and so are the marks of who is eligible.")
    return c, free


def _descend(
    n: NDArray[np.int_],
    k: NDArray[np.int_],
    tested: NDArray[np.bool_],
    accepted: NDArray[np.int_],
    total: int,
    risk: float,
    level: float,
    nothing: str,
) -> Referral:
    """Test thresholds from the highest down until one fails; n, k, tested, accepted: (len(GRID),)."""
    order: Sequence[int] = np.flatnonzero(tested)[::-1].tolist()
    p_values = binom.cdf(k, n, risk)
    last: int | None = None
    for i in order:
        if p_values[i] > 1.0 - level:
            break
        last = i
    if last is None or accepted[last] == 0:
        return Referral(NOTHING, 0.0, 0, 0, None, total, nothing)
    among, errors = int(n[last]), int(k[last])
    bound = 1.0 if errors == among else float(beta.ppf(level, errors + 1, among - errors))
    return Referral(GRID[last], float(accepted[last]) / total, among, errors, bound, total)
