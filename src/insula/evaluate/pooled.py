"""Out-of-fold predictions of several bundles, judged as one table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from insula.core.errors import EvaluationError
from insula.core.types import Verdict
from insula.evaluate.evidence import Guard
from insula.evaluate.facts import Facts, Floats
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import REPLICATES, evaluate_table
from insula.evaluate.table import by_patient, sample
from insula.metrics.classification import ratio, roc_auc
from insula.metrics.resample import figure

if TYPE_CHECKING:
    import pandas as pd

_GRAVEST: tuple[Verdict, ...] = ("fail", "cannot tell", "pass")
_COUNTED = (
    (
        re.compile(r"\d+ of \d+ (patients|files) here were in the training data"),
        "{} of the test folds were in the training data of the same fold",
    ),
    (
        re.compile(r"\d+ of \d+ cases here show a picture of the training data \(copies count\)"),
        "cases of the test folds show a picture of the training data of the same fold",
    ),
    (
        re.compile(r"the threshold was chosen on \d+ of the \d+ patients here"),
        "thresholds were chosen on patients of the same test fold",
    ),
)


def with_thresholds(report: EvaluationReport) -> pd.DataFrame:
    """A report's table with its thresholds in columns `t_<class>`, so that it can stand among others."""
    facts = report.facts
    return report.table.assign(**{f"t_{name}": facts.threshold(name) for name in facts.classes})


def pool(
    reports: Sequence[EvaluationReport], source: Mapping[str, Any], replicates: int = REPLICATES
) -> EvaluationReport:
    """One report over the folds' predictions, each row at the threshold of the bundle that predicted it.

    The threshold that figures draw is the mean over folds. A reason that made one fold optimistic makes the whole so.
    Raises EvaluationError when a case was predicted twice, since its folds overlap then.
    """
    if not reports:
        raise EvaluationError("There is no fold to pool; run at least two folds.")
    import pandas as pd

    table = pd.concat([with_thresholds(r).assign(fold=i) for i, r in enumerate(reports)], ignore_index=True)
    first = reports[0].facts
    mean = {name: float(np.mean([r.facts.threshold(name) for r in reports])) for name in first.classes}
    optimistic = tuple(dict.fromkeys(_general(reason) for r in reports for reason in r.optimistic))
    notes = [
        f"Predictions of {len(reports)} folds, each by a bundle that was not fitted on it; every row is judged at its "
        "own bundle's threshold.",
        *(note for r in reports for note in r.notes),
    ]
    failures = [failure for r in reports for failure in r.failures]
    facts = replace(first, thresholds=mean)
    notes.insert(1, within_folds(table, facts, replicates))
    whole = evaluate_table(table, facts, replicates, optimistic, [n for n in notes if n], failures, source)
    return replace(whole, guards=_guards([r.guards for r in reports]))


def within_folds(table: pd.DataFrame, facts: Facts, replicates: int) -> str:
    """The ROC-AUC over pairs of patients of one fold, in a sentence; "" where a patient stands in several folds.

    All probabilities of a pair then come from one bundle. The pooled ROC-AUC also compares patients of two bundles, so
    it falls where these are calibrated differently, as small folds are.
    """
    patients, _ = by_patient(sample(table, facts), facts)
    fold = table.astype({"patient": str}).groupby("patient")["fold"].unique()
    if fold.map(len).max() > 1:
        return ""
    of = np.array([fold[str(key)][0] for key in patients.keys])
    y, p = patients.y[:, facts.positive_index], patients.p[:, facts.positive_index]
    parts = [np.flatnonzero(of == one) for one in np.unique(of)]

    def area(weights: Floats) -> Floats:
        total, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for rows in parts:
            w = weights[:, rows]
            here = (w @ y[rows]) * (w @ ~y[rows])
            total += np.where(here > 0, np.nan_to_num(roc_auc(y[rows], p[rows], w)) * here, 0.0)
            pairs += here
        return ratio(total, pairs)

    rarest = int(min(y.sum(), (~y).sum()))
    found = figure("roc_auc", area, patients.patients, int(y.sum()), "no fold", replicates, facts.seed, rarest)
    if not np.isfinite(found.value):
        return ""
    ends = f" (95% interval {found.interval[0]:.3f} to {found.interval[1]:.3f})" if found.interval else ""
    return (
        f"Over pairs of patients of one fold alone the ROC-AUC of {facts.positive} is {found.value:.3f}{ends}; the "
        "pooled one also compares probabilities of two bundles, which may be calibrated differently."
    )


def _guards(folds: Sequence[Sequence[Guard]]) -> tuple[Guard, ...]:
    """Of each guard the gravest verdict over the folds; the plan, which single folds do not have, is left out."""
    made = []
    for name in dict.fromkeys(guard.name for guards in folds for guard in guards if guard.name != "plan"):
        found = [guard for guards in folds for guard in guards if guard.name == name]
        verdict = min((guard.verdict for guard in found), key=_GRAVEST.index)
        alike = [guard for guard in found if guard.verdict == verdict]
        evidence = tuple(dict.fromkeys(one for guard in alike for one in guard.evidence))[:20]
        told = f"in {len(alike)} of {len(folds)} folds; the first: {alike[0].finding}"
        made.append(Guard(name, verdict, told, evidence))
    return tuple(made)


def _general(reason: str) -> str:
    """A fold's reason without its own counts, which differ from fold to fold."""
    for pattern, words in _COUNTED:
        if found := pattern.fullmatch(reason):
            return words.format(*found.groups())
    return reason
