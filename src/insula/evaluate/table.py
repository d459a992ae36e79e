"""The table of predictions: one row per case, from which every figure of a report can be computed again.

Columns: case, patient, `p_<class>` (probability), `y_<class>` (bool). Optional: `action` (accept, refer, reject),
`reasons` (for it, in words, joined by "; ") and `reason_kinds` (of the same, joined by ";"), `domain_score`, `distance`
(of the scan from training, 1 where 95% of validation cases are nearer), `spread_<class>` over dropout passes,
`spread_<source>_<class>` over views and members, `entropy_<source>` and `mutual_information_<source>` in nats,
`t_<class>` (the threshold of the bundle that predicted the row), and for true positives with a mask `lesion_share` and
`region_share` (of the scan), `region` (brain or head), and of the map of the positive class `peak_inside` (0 or 1),
`iou`, `heat_inside`, `heat_near` (in the rest of the region), `heat_outside`; of other classes' maps the same with
`_<class>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.core.errors import EvaluationError
from insula.evaluate.facts import Bools, Facts, Floats
from insula.metrics.aggregate import aggregate
from insula.metrics.probabilities import exclusive

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sample:
    """Rows to be judged: keys (n,), patients (n,), labels y, probabilities p and thresholds limits (n, K)."""

    keys: NDArray[np.str_]
    patients: NDArray[np.str_]
    y: Bools
    p: Floats
    limits: Floats


def frame(
    cases: Sequence[str],
    patients: Sequence[str],
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    more: Mapping[str, Sequence[Any]] | None = None,
) -> pd.DataFrame:
    """A table of predictions from lists of n and tables (n, K) in the order of the classes; `more` adds columns."""
    import pandas as pd  # here alone: a service shows evaluations, and does without tables

    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=bool)
    if p.shape != (len(cases), len(classes)) or y.shape != p.shape or len(patients) != len(cases):
        raise EvaluationError(
            f"{len(cases)} cases, {len(patients)} patients, probabilities {p.shape} and labels {y.shape} do not belong "
            f"together; all need one row per case and {len(classes)} columns."
        )
    columns: dict[str, Any] = {"case": list(cases), "patient": list(patients)}
    columns |= {f"p_{name}": p[:, k] for k, name in enumerate(classes)}
    columns |= {f"y_{name}": y[:, k] for k, name in enumerate(classes)}
    return pd.DataFrame(columns | dict(more or {}))


def sample(table: pd.DataFrame, facts: Facts) -> Sample:
    """The rows of a table, checked: EvaluationError names the column or the number of rows that breaks a rule."""
    wanted = ["case", "patient", *(f"{side}_{name}" for side in "py" for name in facts.classes)]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise EvaluationError(f"The table of predictions has no column '{missing[0]}'; it needs: {', '.join(wanted)}.")
    if len(table) == 0:
        raise EvaluationError("The table of predictions is empty; predict at least one labelled case.")
    own = [f"t_{name}" for name in facts.classes if f"t_{name}" in table.columns]
    empty = [name for name in (*wanted, *own) if table[name].isna().any()]
    if empty:
        raise EvaluationError(
            f"The column '{empty[0]}' of the table of predictions has empty cells; fill or drop them."
        )
    if table["case"].duplicated().any():
        raise EvaluationError("Some cases stand twice in the table of predictions; keep one row per case.")
    p = table[[f"p_{name}" for name in facts.classes]].to_numpy(dtype=np.float64)
    y = table[[f"y_{name}" for name in facts.classes]].to_numpy(dtype=bool)
    bad = int((~((p >= 0) & (p <= 1)).all(axis=1)).sum())
    if bad:
        raise EvaluationError(f"{bad} rows hold probabilities outside 0 to 1; predict these cases again.")
    if exclusive(facts.kind):
        wrong = int((y.sum(axis=1) != 1).sum())
        if wrong:
            raise EvaluationError(
                f"{wrong} cases carry none or several of the exclusive classes; correct their labels."
            )
    limits = np.empty_like(p)
    for k, name in enumerate(facts.classes):
        limits[:, k] = table[f"t_{name}"] if f"t_{name}" in table.columns else facts.threshold(name)
    return Sample(table["case"].to_numpy(dtype=str), table["patient"].to_numpy(dtype=str), y, p, limits)


def by_patient(rows: Sample, facts: Facts) -> tuple[Sample, int]:
    """One row per patient, pooled as the policy says, and how many patients had cases with different labels.

    A patient has a label where any case has it. Of exclusive classes a patient with several has the positive one if it
    is among them, otherwise the one that most cases carry.
    """
    keys, index = np.unique(rows.patients, return_inverse=True)
    y = np.zeros((len(keys), rows.y.shape[1]), dtype=bool)
    p = np.empty((len(keys), rows.y.shape[1]))
    limits = np.empty_like(p)
    order = np.argsort(index, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(index[order])) + 1)
    mixed = 0
    for i, group in enumerate(groups):
        p[i] = aggregate(rows.p[group], facts.aggregate, facts.kind, facts.power)
        limits[i] = np.median(rows.limits[group], axis=0)  # of equal thresholds exactly that one; a mean drifts
        labels = rows.y[group]
        mixed += bool((labels != labels[0]).any())
        if facts.kind == "multilabel":
            y[i] = labels.any(axis=0)
        else:
            k = facts.positive_index
            y[i, k if labels[:, k].any() else int(labels.sum(axis=0).argmax())] = True
    return Sample(keys, keys, y, p, limits), mixed
