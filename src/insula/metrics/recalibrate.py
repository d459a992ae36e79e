"""Probabilities put right on validation cases, class by class: by a straight line in the logit, or by rising steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.metrics.probabilities import Kind, exclusive

Values = NDArray[np.float64]
How = Literal["logistic", "isotonic"]
_EDGE = 1e-7


@dataclass(frozen=True)
class Recalibration:
    """How the probability of each class is changed, plain enough for a bundle's JSON.

    logistic: per class (intercept, slope): logit p becomes intercept + slope · logit p. isotonic: per class the knots
    of a rising line, first their places and then their heights, side by side; outside them it is level.
    """

    how: How
    kind: Kind
    classes: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def of_dict(data: Mapping[str, Any]) -> Recalibration:
    """A recalibration from plain data; EvaluationError where it is none."""
    try:
        how, kind = data["how"], data["kind"]
        classes = tuple(tuple(float(v) for v in line) for line in data["classes"])
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError("This is no recalibration: it needs 'how', 'kind' and 'classes' of numbers.") from error
    if how not in ("logistic", "isotonic") or not classes or not np.isfinite(np.concatenate(classes)).all():
        raise EvaluationError(f"A recalibration of the form '{how}' cannot be used; write logistic or isotonic.")
    exclusive(kind)
    if not all(_sound(how, line) for line in classes):
        raise EvaluationError("A class of the recalibration has the wrong number of values, or steps that fall.")
    return Recalibration(how, kind, classes)


def _sound(how: How, line: tuple[float, ...]) -> bool:
    if how == "logistic":
        return len(line) == 2
    places, heights = np.asarray(line[: len(line) // 2]), np.asarray(line[len(line) // 2 :])
    if len(places) != len(heights) or len(places) == 0:
        return False
    return bool((np.diff(places) > 0).all() and (np.diff(heights) >= 0).all())


def fit(y: ArrayLike, p: ArrayLike, how: How, kind: Kind) -> Recalibration:
    """Recalibration from validation labels y and probabilities p, (n, K) each.

    logistic: Cox's logistic recalibration (Biometrika 45:562, 1958); a class that one value separates without an error,
    or that is absent, is left alone. isotonic: pool adjacent violators (Zadrozny and Elkan, KDD 2002); it needs some
    hundred cases and can reach 0 and 1. Raises EvaluationError for shapes that differ or no rows.
    """
    truth, chance = np.asarray(y, dtype=bool), np.asarray(p, dtype=np.float64)
    if truth.shape != chance.shape or truth.ndim != 2 or len(truth) == 0:
        raise EvaluationError(f"Labels {truth.shape} and probabilities {chance.shape} must be equal tables with rows.")
    if not ((chance >= 0) & (chance <= 1)).all():
        raise EvaluationError("Some probabilities lie outside 0 to 1; predict these cases again.")
    if how not in ("logistic", "isotonic"):
        raise EvaluationError(f"There is no recalibration '{how}'; write logistic or isotonic.")
    exclusive(kind)
    of_class = _line if how == "logistic" else _steps
    return Recalibration(how, kind, tuple(of_class(truth[:, k], chance[:, k]) for k in range(truth.shape[1])))


def apply(recalibration: Recalibration, p: ArrayLike) -> Values:
    """Recalibrated probabilities (..., K); exclusive classes are scaled to sum to 1 again."""
    from scipy.special import expit, logit  # here alone: most bundles are not recalibrated, and all are loaded

    chance = np.asarray(p, dtype=np.float64)
    if chance.shape[-1:] != (len(recalibration.classes),):
        raise EvaluationError(f"Probabilities {chance.shape} need {len(recalibration.classes)} columns, one a class.")
    changed = np.empty_like(chance)
    for k, line in enumerate(recalibration.classes):
        if recalibration.how == "logistic":
            changed[..., k] = expit(line[0] + line[1] * logit(np.clip(chance[..., k], _EDGE, 1 - _EDGE)))
        else:
            places, heights = np.split(np.asarray(line), 2)
            changed[..., k] = np.interp(chance[..., k], places, heights)
    if not exclusive(recalibration.kind):
        return changed
    total = changed.sum(axis=-1, keepdims=True)
    return np.where(total > 0, changed / np.where(total > 0, total, 1.0), chance)  # all steps at 0: nothing is known


def _line(y: NDArray[np.bool_], p: Values) -> tuple[float, ...]:
    from scipy.special import logit

    x = logit(np.clip(p, _EDGE, 1 - _EDGE))
    if y.all() or not y.any() or len(y) < 3:
        return 0.0, 1.0
    from insula.metrics import calibration_slope  # here alone: a service starts half a second sooner without it

    found = calibration_slope.fit(
        y.astype(np.float64), np.column_stack([np.ones(len(x)), x]), np.zeros(len(x)), np.arange(len(x))
    )
    return (0.0, 1.0) if found is None else (float(found[0][0]), float(found[0][1]))


def _steps(y: NDArray[np.bool_], p: Values) -> tuple[float, ...]:
    from sklearn.isotonic import IsotonicRegression  # here alone: predicting does without scikit-learn

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(p, y.astype(np.float64))
    return (*fitted.X_thresholds_.tolist(), *fitted.y_thresholds_.tolist())
