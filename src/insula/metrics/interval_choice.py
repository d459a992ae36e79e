"""Which interval each figure is reported with: the one whose coverage came nearest to 95% when it was simulated.

The simulation is benchmarks/coverage.py, its outcome docs/results/intervals.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri, stdtrit

from insula.metrics import calibration, intervals

Values = NDArray[np.float64]
Ends = tuple[float, float]
Form = Literal["share", "auc", "score", "signed score", "logit", "log", "fisher", "plain", "rest", "bca", "gaps"]
Freedom = Literal["patients", "rarest"]
LEVEL = 0.95
JACKKNIFE_UP_TO = 1000
FEWEST = 3  # with one degree of freedom Student's t says next to nothing
SAID: Mapping[Form, str] = {
    "share": "modified Wilson",
    "auc": "Wilson's form, jackknife",
    "score": "Wilson's form, jackknife",
    "signed score": "Wilson's form, jackknife",
    "logit": "Student's t on the logit scale, jackknife",
    "log": "Student's t on the log scale, jackknife",
    "fisher": "Student's t on Fisher's scale, jackknife",
    "plain": "Student's t, jackknife",
    "rest": "Student's t on the log of what is left of 1, jackknife",
    "bca": "bootstrap (BCa)",
    "gaps": "bootstrap, inverted test",
}


@dataclass(frozen=True)
class Choice:
    """The form of an interval, what its degrees of freedom are counted from, and what is said where it falls short."""

    form: Form
    freedom: Freedom = "patients"
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """What an interval is made from.

    spread: (R,) bootstrap replicates. jackknife: (J,) the figure with each patient left out, empty above
    JACKKNIFE_UP_TO patients. patients, n: those the figure rests on (of a share: its denominator). rarest: patients of
    the rarest class. gaps: of a calibration error the gap of each bin, (B,), and its replicates, (R, B).
    """

    value: float
    spread: Values
    jackknife: Values
    patients: int
    n: int
    rarest: int
    gaps: tuple[Values, Values] | None = None


# least and most of docs/results/intervals.md, in percent, where the least is below 93
COVERED: Mapping[str, tuple[float, float]] = {
    "npv": (92.5, 97.2),
    "log_loss": (91.1, 96.3),
    "log_loss_balanced": (91.1, 95.9),
    "ece": (92.3, 95.7),
    "rmse": (92.2, 94.5),
    "difference of ROC-AUC": (92.2, 97.4),
}


def short(name: str) -> str:
    """How often the interval of a figure held the truth, as a sentence's end."""
    low, high = COVERED[name]
    return f"in simulations of 30 to 200 patients this interval held the truth in {low}% to {high}% of samples"


CHOICE: Mapping[str, Choice] = {
    "accuracy": Choice("share"),
    "sensitivity": Choice("share"),
    "specificity": Choice("share"),
    "ppv": Choice("share"),
    "npv": Choice("share", note=short("npv")),
    "within_one": Choice("share"),
    "balanced_accuracy": Choice("score", "rarest"),
    "f1": Choice("score"),
    "f2": Choice("score", "rarest"),
    "roc_auc": Choice("auc", "rarest"),
    "c_index": Choice("score"),
    "pr_auc": Choice("logit"),
    "mcc": Choice("signed score"),
    "kappa": Choice("fisher"),
    "kappa_linear": Choice("fisher"),
    "kappa_quadratic": Choice("fisher"),
    "brier": Choice("log", "rarest"),
    "log_loss": Choice("log", "rarest", short("log_loss")),
    "log_loss_balanced": Choice("log", "rarest", short("log_loss_balanced")),
    "mean_steps": Choice("log"),
    "ece": Choice("gaps", note=short("ece")),
    "mae": Choice("log"),
    "rmse": Choice("log", note=short("rmse")),
    "bias": Choice("plain"),
    "pearson": Choice("fisher"),
    "r2": Choice("rest"),
}


def of(name: str, averaged: bool = False) -> Choice:
    """The choice for a figure; averaged: it is a mean over classes, so that a share is no share any more."""
    choice = CHOICE.get(name, Choice("bca"))
    if averaged and choice.form in ("share", "auc"):  # a mean of sensitivities is the balanced accuracy
        return replace(CHOICE["balanced_accuracy"], note=choice.note)
    return choice


def ends(choice: Choice, e: Evidence) -> Ends | None:
    """The 95% interval in the chosen form; None where it has no width or fewer than FEWEST patients behind it."""
    if choice.form == "share":
        n = effective_n(e)
        return intervals.wilson_modified(e.value * n, n, LEVEL)
    if choice.form == "bca":
        return intervals.bca(e.value, e.spread, e.jackknife, LEVEL)
    if choice.form == "gaps":
        return None if e.gaps is None else calibration.ece_ends(*e.gaps, LEVEL)
    error = standard_error(e)
    if not error > 1e-12:
        return None
    freedom = counted(choice, e)
    if freedom < FEWEST:
        return None
    quantile = float(stdtrit(freedom - 1, 0.5 + LEVEL / 2))
    if choice.form in ("auc", "score"):
        return score(e.value, error, quantile)
    if choice.form == "signed score":
        found = score((1 + e.value) / 2, error / 2, quantile)
        return found and (2 * found[0] - 1, 2 * found[1] - 1)
    forward, slope, back = _SCALES[choice.form]
    with np.errstate(divide="ignore"):
        centre = float(forward(e.value))
    if not np.isfinite(centre):
        return None
    half = quantile * error * slope(e.value)
    return float(back(centre - half)), float(back(centre + half))


def counted(choice: Choice, e: Evidence) -> int:
    """The patients whose number, less one, is the degrees of freedom."""
    return e.patients if choice.freedom == "patients" or e.rarest == 0 else e.rarest


def score(value: float, error: float, quantile: float) -> Ends | None:
    """Wilson's interval of a figure between 0 and 1 for the n that makes its variance that of a share.

    A quantile above the normal one (Student's) makes n smaller, as in Korn and Graubard (Survey Methodology 24:193,
    1998).
    """
    if not 0 < value < 1:
        return None
    n = value * (1 - value) / error**2 * (float(ndtri(0.5 + LEVEL / 2)) / quantile) ** 2
    return intervals.wilson(value * n, n, LEVEL)


def effective_n(e: Evidence) -> float:
    """Rows of a share, or the smaller number of independent rows that several rows a patient are worth.

    Without an estimate (a share of 0 or 1) it is the number of patients.
    """
    if e.n <= e.patients:
        return float(e.n)
    error = standard_error(e)
    if not 0 < e.value < 1 or not error > 1e-12:
        return float(e.patients)
    student = float(stdtrit(max(e.patients - 1, 1), 0.5 + LEVEL / 2))
    n = e.value * (1 - e.value) / error**2 * (float(ndtri(0.5 + LEVEL / 2)) / student) ** 2
    return float(min(n, e.n))


def standard_error(e: Evidence) -> float:
    """By the jackknife, or the spread of the replicates where that was left out; NaN where one patient decides."""
    if len(e.jackknife) == 0:
        defined = e.spread[np.isfinite(e.spread)]
        return float(defined.std()) if 2 * len(defined) >= len(e.spread) > 0 else float("nan")
    j = e.jackknife
    return float(np.sqrt((len(j) - 1) / len(j) * ((j - j.mean()) ** 2).sum()))


_Line = Callable[[float], float]
_SCALES: Mapping[str, tuple[_Line, _Line, _Line]] = {
    "plain": (float, lambda v: 1.0, float),
    "rest": (lambda v: -np.log(1 - v), lambda v: 1 / (1 - v), lambda v: 1 - np.exp(-v)),
    "logit": (logit, lambda v: 1 / (v * (1 - v)), expit),
    "log": (np.log, lambda v: 1 / v, np.exp),
    "fisher": (np.arctanh, lambda v: 1 / (1 - v * v), np.tanh),
}
