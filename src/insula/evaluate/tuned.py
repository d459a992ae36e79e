"""Whether a threshold was chosen on the very cases that it is judged on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from insula.core.recipe import OperatingPoint
from insula.core.types import Case
from insula.evaluate.evidence import Guard
from insula.evaluate.known import Known
from insula.metrics.thresholds import choose

_ROUND = (0.8, 0.85, 0.9, 0.95, 0.975, 0.99)
_POINTS = (
    OperatingPoint(youden=True),
    OperatingPoint(f2=True),
    *(OperatingPoint(sensitivity=aim) for aim in _ROUND),
    *(OperatingPoint(specificity=aim) for aim in _ROUND),
)


def stored(known: Known, cases: Sequence[Case]) -> Guard:
    """A bundle's own threshold: whether the patients that it was chosen on, which the bundle carries, stand here."""
    if not known.chosen_on:
        told = "the bundle does not say which patients its threshold was chosen on"
        return Guard("threshold", "cannot tell", told)
    patients = {case.patient for case in cases}
    seen = {patient for patient in patients if known.among(patient, known.chosen_on)}
    if seen:
        told = f"the threshold was chosen on {len(seen)} of the {len(patients)} patients here"
        return Guard("threshold", "fail", told, tuple(c.key for c in cases if c.patient in seen)[:20])
    told = f"the threshold was chosen on {len(known.chosen_on)} other patients"
    return Guard("threshold", "pass", told)


def replaced(
    mine: float, given: float, y: ArrayLike, p: ArrayLike, aims: Sequence[OperatingPoint], name: str
) -> Guard | None:
    """A threshold given in place of the bundle's own; None where both give the same answers to all of these patients.

    Fails where the given one answers here exactly as the best threshold for these very patients would (by Youden's
    index or by an aim in `aims`, the recipe's) and the bundle's own does not: seldom a coincidence. Otherwise nobody
    can tell where it comes from. y, p: (n,) labels and probabilities of the patients.
    """
    score = np.asarray(p, dtype=np.float64)
    if ((score >= mine) == (score >= given)).all():
        return None
    other = f"the threshold {given:.6g} for {name} is not the bundle's ({mine:.6g})"
    for words, best in _best(y, score, (*aims, OperatingPoint(youden=True), OperatingPoint(f2=True))):
        if ((score >= given) == (score >= best)).all():
            return Guard("threshold", "fail", f"{other} and is the best one on these very patients ({words})")
    return Guard("threshold", "cannot tell", f"{other}, and nothing says how it was chosen")


def foreign(given: Mapping[str, float], y: ArrayLike, p: ArrayLike, positive: str) -> Guard:
    """A threshold that came with predictions made elsewhere.

    Fails where it is, to six digits, the probability of a patient here that makes the best threshold for these very
    patients, unless it is a multiple of 0.001: so exact a match is no chance. Where it merely gives the same answers as
    such a threshold, that is said; otherwise nothing tells how it was chosen. y, p: (n,) of the patients.
    """
    if positive not in given:
        return Guard("threshold", "pass", "no threshold was given, so 0.5 was taken")
    value, score = given[positive], np.asarray(p, dtype=np.float64)
    like = ""
    for words, best in _best(y, score, _POINTS):
        if abs(best - value) <= 5e-7 and abs(round(value, 3) - value) > 5e-7:
            told = f"the threshold {value:.6g} is the best one on these very patients ({words})"
            return Guard("threshold", "fail", told)
        if ((score >= value) == (score >= best)).all() and not like:
            like = words
    if like:
        told = f"the threshold {value:.6g} answers here as the best one on these very patients would ({like})"
        return Guard("threshold", "cannot tell", told)
    return Guard("threshold", "cannot tell", f"nothing says how the threshold {value:.6g} was chosen")


def _best(y: ArrayLike, p: ArrayLike, aims: Sequence[OperatingPoint]) -> Iterator[tuple[str, float]]:
    truth = np.asarray(y, dtype=bool)
    if truth.any() and not truth.all():
        yield from ((_words(point), choose(truth, p, point)) for point in aims)


def _words(point: OperatingPoint) -> str:
    if point.sensitivity is not None:
        return f"sensitivity {point.sensitivity:g}"
    if point.specificity is not None:
        return f"specificity {point.specificity:g}"
    if point.cost is not None:
        return f"a missed patient at {point.cost:g} false alarms"
    return "F2" if point.f2 else "Youden's index"
