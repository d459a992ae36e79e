"""The figures of the targets beside the first: stages, survival, measures, further classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insula.core import labels
from insula.core.recipe import Recipe, Target
from insula.core.types import Case, Prediction
from insula.metrics import classification as cl
from insula.metrics import ordinal, regression, survival
from insula.metrics.intervals import Figure
from insula.metrics.resample import figure

if TYPE_CHECKING:
    import pandas as pd

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Further:
    """One further target: its kind, the cases with a label, their patients, and the figures.

    Figures are over cases, with intervals over patients; those of a single label are named `<label>/roc_auc`.
    """

    kind: str
    cases: int
    patients: int
    figures: Mapping[str, Figure]


def columns(case: Case, prediction: Prediction, recipe: Recipe) -> dict[str, float]:
    """What the table of predictions holds of the further targets: answers `name:value`, labels `name:label_<i>`."""
    row: dict[str, float] = {}
    for name, target in recipe.further.items():
        answer = prediction.also[name]
        row |= {f"{name}:{key}": float(v) for key, v in zip(answer.names, answer.values, strict=True)}
        if answer.spread is not None:
            row |= {f"{name}:{key}:spread": float(v) for key, v in zip(answer.names, answer.spread, strict=True)}
        given = labels.columns(case, name, target) or (float("nan"),) * target.label_columns
        row |= {f"{name}:label_{i}": v for i, v in enumerate(given)}
    return row


def judge(table: pd.DataFrame, recipe: Recipe, replicates: int) -> dict[str, Further]:
    """The figures of each further target from the table's columns; a target that nobody is labelled for has none."""
    found = {}
    for name, target in recipe.further.items():
        y = table[[f"{name}:label_{i}" for i in range(target.label_columns)]].to_numpy(float)
        there = np.isfinite(y).all(axis=1)
        patients = table["patient"].to_numpy()[there]
        keys = ["log_hazard"] if target.kind == "survival" else list(target.classes) or ["value"]
        p = table[[f"{name}:{key}" for key in keys]].to_numpy(float)[there]
        made = _figures(target, y[there], p, patients, replicates, recipe.seed) if there.any() else {}
        found[name] = Further(target.kind, int(there.sum()), len(np.unique(patients)), made)
    return found


def _figures(
    target: Target, y: Values, p: Values, patients: NDArray[Any], replicates: int, seed: int
) -> dict[str, Figure]:
    def one(
        name: str,
        compute: Callable[[Values], Values],
        events: int,
        nothing: str,
        shown: str = "",
        truth: NDArray[np.bool_] | None = None,
    ) -> None:
        rarest = 0 if truth is None else min(len(np.unique(patients[side])) for side in (truth, ~truth))
        found[shown or name] = figure(name, compute, patients, events, nothing, replicates, seed, rarest)

    found: dict[str, Figure] = {}
    if target.kind == "survival":
        time, event = y[:, 0], y[:, 1] > 0.5
        c = "no two patients can be compared"
        one("c_index", lambda w: survival.concordance(time, event, p[:, 0], w), int(event.sum()), c)
    elif target.kind == "regression":
        for name, compute in (("mae", regression.mae), ("rmse", regression.rmse), ("bias", regression.bias)):
            one(name, lambda w, f=compute: f(y[:, 0], p[:, 0], w), len(y), "no case")  # type: ignore[misc]
        for name, compute in (("pearson", regression.pearson), ("r2", regression.r2)):
            one(name, lambda w, f=compute: f(y[:, 0], p[:, 0], w), len(y), "the values do not vary")  # type: ignore[misc]
    elif target.exclusive:
        true, called, k = y.argmax(1), p.argmax(1), len(target.classes)
        right = int((true == called).sum())
        one("accuracy", lambda w: cl.accuracy(cl.confusion(true, called, k, w)), right, "no case")
        if target.kind == "ordinal":
            one(
                "kappa_quadratic",
                lambda w: ordinal.quadratic_kappa(cl.confusion(true, called, k, w)),
                len(y),
                "the truth is one class throughout",
            )
            one("mean_steps", lambda w: ordinal.mean_steps(cl.confusion(true, called, k, w)), len(y), "no case")
            near = int((np.abs(true - called) <= 1).sum())
            one("within_one", lambda w: ordinal.within_one(cl.confusion(true, called, k, w)), near, "no case")
        _areas(target, y, p, one)
    else:
        _areas(target, y, p, one)
    return found


def _areas(target: Target, y: Values, p: Values, one: Callable[..., None]) -> None:
    for k, label in enumerate(target.classes):
        truth = y[:, k] > 0.5
        nothing = "the cases do not hold both with and without it"
        one(
            "roc_auc",
            partial(cl.roc_auc, truth, p[:, k]),
            int(truth.sum()),
            nothing,
            f"{label}/roc_auc",
            truth,
        )
