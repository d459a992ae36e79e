"""Whether what lies beside the head tells the classes apart: table, headrest, field of view, letters, padding.

The trivial models of an evaluation see thumbnails as a person would, in which a headrest is as black as air. Here the
background is looked at from air to bone. A logistic regression on coarse fields of it is fitted to some of the audited
patients and asked about the others, so that no training scan is needed. It says that a shortcut lies in the cohort;
whether the model takes it, the exchange of backgrounds says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.audit.ground import Bools, Floats, Ground
from insula.audit.part import Check, Measured, Part
from insula.audit.sight import APART_MM, pixels, wider
from insula.audit.verdict import finding
from insula.core.types import Case, Finding
from insula.infer.predict import Scans
from insula.metrics.compare import delong_interval

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Does what lies beside the head tell the classes apart?"
_SIDE = 12  # fields along a side
_FOLDS = 5
_FEWEST = 10  # patients of each class
_STRENGTH = 0.01  # of the logistic regression, against as many fields as there are patients


def measure(ground: Ground, case: Case, scans: Scans) -> Measured:
    """`background/NNN`: mean brightness beside the head in each field of the first scan, 0 where the head covers it.

    Brightness is measured from that of the whole background, so that scanners with another air are not told apart.
    """
    role = ground.bundle.recipe.role
    if role not in scans or ground.bundle.recipe.inputs[role].modality not in ("CT", "MR"):
        return {}
    sight = ground.sight(scans[role][0])
    if sight.head is None:
        return {}
    free = ~wider(sight.head, pixels(sight.volume, APART_MM))
    if not free.any():
        return {}
    shown = np.where(free, sight.shown - float(np.median(sight.shown[free])), 0.0).sum(axis=0)
    there = free.sum(axis=0).astype(np.float64)
    bright, count = (
        cv2.resize(plane.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for plane in (shown, there)
    )
    mean = np.where(count > 0, bright / np.maximum(count, 1e-6), 0.0)
    return {f"background/{i:03}": float(value) for i, value in enumerate(mean.ravel())}


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`background/roc_auc`: of a model that sees the background alone, on patients that it was not fitted to."""
    names = [name for name in table.columns if name.startswith("background/")]
    if not names:
        return Part("background", TITLE, (), notes=("No scan has a head with a background around it.",))
    x, y, owners = _by_patient(ground, table, names)
    few = min(int(y.sum()), int((~y).sum()))
    if few < _FEWEST:
        told = f"There are {few} patients of the rarer class with a background, and {_FEWEST} are needed."
        nothing = Finding("background/roc_auc", float("nan"), None, float("nan"), "cannot tell", told)
        return Part("background", TITLE, (nothing,))
    found = delong_interval(y, out_of_fold(x, y, ground.seed), owners)
    rows = ground.patients
    own = delong_interval(ground.positive(rows), ground.scores(rows)).value
    share = ground.limits.shortcuts.trivial
    limit = None if share is None or not np.isfinite(own) else 0.5 + share * max(own - 0.5, 0.0)
    told = (
        f"A model that sees only what lies beside the head orders {len(y)} patients with a ROC-AUC of "
        f"{found.value:.3f} (by {_FOLDS}-fold cross-validation among them); this model has {own:.3f}."
    )
    return Part("background", TITLE, (finding("background/roc_auc", found, limit, told),))


def out_of_fold(x: Floats, y: Bools, seed: int) -> Floats:
    """Scores (n,) of patients x (n, F) by a logistic regression fitted to the others, in folds of like classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = np.empty(len(y))
    for fit, held in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(x, y):
        model: Any = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, max_iter=2000))
        scores[held] = model.fit(x[fit], y[fit]).decision_function(x[held])
    return scores


def _by_patient(ground: Ground, table: pd.DataFrame, names: list[str]) -> tuple[Floats, Bools, NDArray[np.str_]]:
    """The mean fields of each patient's cases, and whether the patient is positive; patients without any left out."""
    known = table[names].notna().all(axis=1)
    mean = table[known].groupby("patient")[names].mean()
    rows = ground.patients
    place = {key: i for i, key in enumerate(rows.keys.tolist())}
    owners = mean.index.to_numpy(dtype=str)
    return mean.to_numpy(np.float64), ground.positive(rows)[[place[key] for key in owners.tolist()]], owners


CHECK = Check("background", TITLE, judge, measure)
