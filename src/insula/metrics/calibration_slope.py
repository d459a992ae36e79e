"""Calibration intercept and slope: are the probabilities too high on the whole, and too extreme."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtrit

from insula.core.errors import EvaluationError
from insula.metrics.interval_choice import FEWEST
from insula.metrics.intervals import Figure

Values = NDArray[np.float64]
_EDGE = 1e-7
_STEPS = 50


def slope(y: ArrayLike, p: ArrayLike, patients: ArrayLike) -> Figure:
    """Slope b of logit P(y) = a + b·logit p; 1 is right, below 1 the probabilities are too extreme (Cox 1958).

    y (n,) bool, p (n,), patients (n,) keys. The interval is Student's with a variance over patients; see `_figure`.
    """
    return _figure(y, p, patients, slope=True)


def intercept(y: ArrayLike, p: ArrayLike, patients: ArrayLike) -> Figure:
    """Intercept a of logit P(y) = a + logit p ("calibration in the large"): 0 is right, above 0 p is too low."""
    return _figure(y, p, patients, slope=False)


def doubt(y: ArrayLike, p: ArrayLike) -> float:
    """How many answers' worth of doubt a slope rests on: the sum of 4·q·(1 − q) over the recalibrated probabilities q.

    y (n,) bool, p (n,). A toss of a coin counts 1, a sure answer 0; it is the Fisher information of the intercept,
    times 4. 0 where the classes are separated.
    """
    truth, x = np.asarray(y, dtype=np.float64), logit(np.clip(np.asarray(p, dtype=np.float64), _EDGE, 1 - _EDGE))
    columns = np.column_stack([np.ones(len(x)), x])
    found = fit(truth, columns, np.zeros(len(x)), np.arange(len(x)))
    if found is None:
        return 0.0
    q = expit(columns @ found[0])
    return float((4 * q * (1 - q)).sum())


def fit(y: Values, x: Values, offset: Values, owner: NDArray[np.intp]) -> tuple[Values, Values] | None:
    """Coefficients (C,) of a logistic regression of y on columns x (n, C) and their covariance (C, C).

    None where the classes are separated, so that there is no largest likelihood. The covariance is the
    sandwich over patients (Liang and Zeger, Biometrika 73:13, 1986), times P/(P − 1).
    """
    beta = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        chance = expit(x @ beta + offset)
        spread = chance * (1 - chance)
        information = (x * spread[:, None]).T @ x
        if not np.isfinite(beta).all() or np.abs(beta).max() > 1e3 or np.linalg.cond(information) > 1e14:
            return None
        step = np.linalg.solve(information, x.T @ (y - chance))
        beta = beta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-10:
            break
    else:
        return None
    patients = int(owner.max()) + 1
    scores = x * (y - expit(x @ beta + offset))[:, None]
    each = np.stack([np.bincount(owner, column, minlength=patients) for column in scores.T], axis=1)
    bread = np.linalg.inv(information)
    return beta, bread @ (each.T @ each) @ bread * patients / (patients - 1)


def _figure(y: ArrayLike, p: ArrayLike, patients: ArrayLike, slope: bool) -> Figure:
    """The estimate with b ± t·SE, t of as many degrees of freedom as the rarer class has patients, less one."""
    truth, score, keys = np.asarray(y, dtype=bool), np.asarray(p, dtype=np.float64), np.asarray(patients)
    if truth.ndim != 1 or truth.shape != score.shape or keys.shape != truth.shape:
        raise EvaluationError(
            f"Labels {truth.shape}, probabilities {score.shape} and patients {keys.shape} must be equally long lists."
        )
    unique, owner = np.unique(keys, return_inverse=True)
    counts = (len(unique), len(truth), int(truth.sum()))
    rarer = min(len(np.unique(keys[truth])), len(np.unique(keys[~truth])))
    if rarer < FEWEST:
        return Figure(float("nan"), None, "", *counts, f"fewer than {FEWEST} patients of a class")
    x = logit(np.clip(score, _EDGE, 1 - _EDGE))
    ones = np.ones((len(x), 1))
    columns, offset = (np.column_stack([ones, x]), np.zeros(len(x))) if slope else (ones, x)
    found = fit(truth.astype(np.float64), columns, offset, owner)
    if found is None:
        return Figure(float("nan"), None, "", *counts, "the probabilities separate the classes, or are all the same")
    value, error = float(found[0][-1]), float(np.sqrt(found[1][-1, -1]))
    half = float(stdtrit(rarer - 1, 0.975)) * error
    return Figure(value, (value - half, value + half), "Student's t over patients", *counts)
