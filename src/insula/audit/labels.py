"""Labels that the model contradicts with as much confidence as it has where it is right.

Confident learning (Northcutt, Jiang and Chuang, Journal of Artificial Intelligence Research 70:1373, 2021): a case that
is labelled i counts as a j where its probability of j reaches the mean probability of j over the cases that are
labelled j. On cases that the model was not trained on, such a case is mislabelled, or the model is surely wrong;
which of both, a person has to look at.

A model that orders the cases but fairly contradicts many right labels, nearly all of them where it is least sure. Wrong
labels lie anywhere. So the share fails only where the model is about as sure of the answers that the labels call wrong
as of those that they call right (`apart`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from insula.audit.ground import Bools, Floats, Ground
from insula.audit.part import Check, Part, Table
from insula.audit.verdict import finding
from insula.evaluate.table import Sample
from insula.metrics import proportion
from insula.metrics.classification import once, roc_auc
from insula.metrics.probabilities import exclusive

TITLE = "Labels that the model contradicts"
_SHOWN = 50
_AS_SURE, _STEEP, _GOOD = 0.75, 2.0, 0.9


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`labels/contradicted`: share of patients whose label the model contradicts with confidence."""
    rows = ground.patients
    y, p = _sides(rows, ground)
    against = contradicted(y, p)
    found = proportion.figure(against >= 0, np.ones(len(y), bool), rows.patients, "no patient")
    names = (
        ground.facts.classes
        if exclusive(ground.facts.kind)
        else ("not " + ground.facts.positive, ground.facts.positive)
    )
    listed = np.flatnonzero(against >= 0)
    order = listed[np.argsort(-p[listed, against[listed]], kind="stable")]
    told = (
        f"The model contradicts the label of {found.events} of {found.n} patients as surely as it is sure of the cases "
        "that carry the other label: mislabelled, or surely wrong; a person has to look."
    )
    shown = Table(
        "Whom to look at, the surest first",
        ("patient", "labelled", "the model says", "probability"),
        tuple(
            (str(rows.keys[i]), names[int(y[i].argmax())], names[int(against[i])], float(p[i, against[i]]))
            for i in order[:_SHOWN]
        ),
    )
    verdict = finding("labels/contradicted", found, ground.limits.label_noise, told)
    area, surer = _area(ground.positive(rows), ground.scores(rows)), apart(y, p)
    if verdict.verdict == "fail" and surer >= most_apart(area):
        more = (
            f"It is surer of {100 * surer:.0f}% of its right answers than of a wrong one, as any model is that orders "
            f"the cases with a ROC-AUC of {area:.3f}, so this is no sign of wrong labels."
        )
        verdict = replace(verdict, verdict="cannot tell", evidence=f"{told} {more}")
    return Part("labels", TITLE, (verdict,), (shown,) if len(order) else ())


def contradicted(y: Bools, p: Floats) -> NDArray[np.intp]:
    """Of each row the class that it counts as in place of its label, −1 where it counts as its label or as none.

    y, p: (n, K), one label a row. Where several classes reach their threshold the most probable one is taken.
    """
    own = np.array([p[y[:, k], k].mean() if y[:, k].any() else np.inf for k in range(y.shape[1])])
    reached = np.where(p >= own, p, -1.0)
    as_class = np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), -1)
    found: NDArray[np.intp] = np.where(as_class == y.argmax(axis=1), -1, as_class)
    return found


def apart(y: Bools, p: Floats) -> float:
    """How often the model is surer of an answer that its label calls right than of one that it calls wrong.

    y, p: (n, K), one label a row; the answer is the most probable class. A half where it is as sure of both, NaN where
    not both are there.
    """
    right: Bools = y[np.arange(len(y)), p.argmax(axis=1)]
    return _area(right, p.max(axis=1))


def most_apart(area: float) -> float:
    """What `apart` may at most be where labels are wrong, for a model with this ROC-AUC against these labels.

    By simulation of calibrated models with normal scores and 150 patients: with right labels and a ROC-AUC of 0.75 to
    0.98 at most 8% of 200 fail at a limit of 3%, with 10% wrong labels and a ROC-AUC of 0.99 against right ones 91%.
    """
    return _AS_SURE - _STEEP * max(0.0, _GOOD - area)


def _area(y: Bools, p: Floats) -> float:
    return float(roc_auc(y, p, once(len(y)))[0])


def _sides(rows: Sample, ground: Ground) -> tuple[Bools, Floats]:
    """Labels and probabilities of exclusive classes; of labels that stand together both sides of the positive one."""
    if exclusive(ground.facts.kind):
        return rows.y, rows.p
    y, p = ground.positive(rows), ground.scores(rows)
    return np.stack([~y, y], axis=1), np.stack([1 - p, p], axis=1)


CHECK = Check("labels", TITLE, judge)
