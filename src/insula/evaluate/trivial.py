"""Trivial models beside the headline: how far one comes without looking at the disease."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.core.types import Case
from insula.evaluate import trivial_features as features
from insula.evaluate import trivial_verdict
from insula.evaluate.evidence import Baselines, TrivialModel
from insula.evaluate.pictures import Pictures
from insula.metrics.compare import delong, delong_interval
from insula.metrics.intervals import Figure

Values = NDArray[np.float64]
Bools = NDArray[np.bool_]
TITLES = {
    "metadata": "facts about scan and patient, no picture",
    "border": "the outer tenth of the picture",
    "silhouette": "the outline of the head",
    "thumbnail": "the picture at 8 × 8 pixels",
}
MOST = 2000
_ENOUGH = 10  # patients of each class
_BOOSTED = 100  # patients from which on boosting is tried too
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Judged:
    """The test patients as the model was judged.

    keys, y, p: (n,) of the patients, label and probability of the positive class. owner: test case → patient.
    """

    keys: NDArray[np.str_]
    y: Bools
    p: Values
    roc_auc: Figure
    owner: dict[str, str]


def beside(
    judged: Judged,
    positive: tuple[str, str],
    train: Pictures | None,
    test: Pictures,
    without: Collection[str],
    seed: int,
) -> Baselines:
    """Fit each trivial model on the training cases and judge it on the test patients, one probability a patient.

    positive: the target's name and its positive class. train: labelled training cases of the same cohort, None where
    there are none. test: the cases that were judged. without: attributes that hold labels.
    """
    why = _missing(positive, train)
    if why or train is None:
        return Baselines((), dict.fromkeys(TITLES, why), f"No trivial model could be fitted: {why}.")
    y = _labels(train.cases, positive)
    owners = np.array([case.patient for case in train.cases])
    models: list[TrivialModel] = []
    reasons: dict[str, str] = {}
    for name in TITLES:
        inputs, a, b = _inputs(name, train, test, without)
        if a.shape[1] == 0 or not (np.ptp(a, axis=0) > 0).any():
            reasons[name] = "nothing of it varies over the training cases"
            continue
        method, fitted = _fit(a, y, owners, seed, boost=name == "metadata")
        models.append(_judge(name, inputs, method, fitted.predict_proba(b)[:, 1], test, judged, len(set(owners))))
    return Baselines(tuple(models), reasons, trivial_verdict.sentence(models, judged.roc_auc))


def _missing(positive: tuple[str, str], train: Pictures | None) -> str:
    if train is None or not train.cases:
        return "the cohort holds no labelled training cases"
    y = _labels(train.cases, positive)
    groups = [len({c.patient for c, label in zip(train.cases, y, strict=True) if label == side}) for side in (1, 0)]
    if min(groups) < _ENOUGH:
        return (
            f"the training cases hold {groups[0]} positive and {groups[1]} negative patients, and {_ENOUGH} of each "
            "are needed"
        )
    return ""


def _labels(cases: Sequence[Case], positive: tuple[str, str]) -> Bools:
    target, name = positive
    return np.array([name in case.labels[target] for case in cases], dtype=bool)


def _inputs(
    name: str, train: Pictures, test: Pictures, without: Collection[str]
) -> tuple[tuple[str, ...], Values, Values]:
    if name == "metadata":
        columns = features.learn(train.cases, without)
        return columns.names, features.metadata(train.cases, columns), features.metadata(test.cases, columns)
    of = {"border": features.border, "silhouette": features.silhouette, "thumbnail": features.thumbnail}[name]
    return (TITLES[name],), of(train), of(test)


def _fit(x: Values, y: Bools, owners: NDArray[np.str_], seed: int, boost: bool) -> tuple[str, Any]:
    """The better of logistic regression and gradient boosting by cross-validation over training patients, fitted.

    A patient counts once, however many cases there are.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    weight = _once_a_patient(owners)
    logistic = _Scaled(StandardScaler(), LogisticRegression(C=0.1, max_iter=5000))
    candidates: dict[str, Any] = {"logistic regression": logistic}
    if boost and len(np.unique(owners)) >= _BOOSTED:
        candidates["gradient boosting"] = HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.1, min_samples_leaf=10, early_stopping=False, random_state=seed
        )
    best = max(candidates, key=lambda name: _score(candidates[name], x, y, owners, weight, seed))
    return best, candidates[best].fit(x, y, sample_weight=weight)


class _Scaled:
    """A scaler and a linear model that share their weights."""

    def __init__(self, scaler: Any, model: Any) -> None:
        self._scaler, self._model = scaler, model

    def fit(self, x: Values, y: Bools, sample_weight: Values) -> _Scaled:
        self._model.fit(self._scaler.fit_transform(x, sample_weight=sample_weight), y, sample_weight=sample_weight)
        return self

    def predict_proba(self, x: Values) -> Values:
        found: Values = self._model.predict_proba(self._scaler.transform(x))
        return found


def _score(model: Any, x: Values, y: Bools, owners: NDArray[np.str_], weight: Values, seed: int) -> float:
    from sklearn.model_selection import StratifiedGroupKFold

    out = np.full(len(y), np.nan)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for fit, held in folds.split(x, y, owners):
        if y[fit].all() or not y[fit].any():
            continue
        out[held] = model.fit(x[fit], y[fit], sample_weight=weight[fit]).predict_proba(x[held])[:, 1]
    known = np.isfinite(out)
    area = delong_interval(y[known], out[known]).value
    return area if math.isfinite(area) else 0.0


def _once_a_patient(owners: NDArray[np.str_]) -> Values:
    _, owner, count = np.unique(owners, return_inverse=True, return_counts=True)
    weight = 1.0 / count[owner]
    evened: Values = weight / weight.mean()
    return evened


def _judge(
    name: str, inputs: tuple[str, ...], method: str, p: Values, test: Pictures, judged: Judged, patients: int
) -> TrivialModel:
    place = {key: i for i, key in enumerate(judged.keys.tolist())}
    total, count = np.zeros(len(place)), np.zeros(len(place))
    for case, value in zip(test.cases, p, strict=True):
        if case.key not in judged.owner:
            continue  # the model itself has failed on it
        i = place[judged.owner[case.key]]
        total[i] += value
        count[i] += 1
    pooled = total / np.maximum(count, 1)
    found = delong_interval(judged.y, pooled)
    difference = delong(judged.y, judged.p, pooled).difference
    return TrivialModel(
        name=name,
        title=TITLES[name],
        inputs=inputs,
        method=method,
        train_patients=patients,
        roc_auc=found,
        difference=difference,
        within=trivial_verdict.standing(difference) in ("level", "below"),
    )
