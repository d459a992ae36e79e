"""Out-of-fold predictions of several bundles, judged as one table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from insula.core.errors import EvaluationError
from insula.core.types import Verdict
from insula.evaluate.evidence import Guard
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import REPLICATES, evaluate_table

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
    whole = evaluate_table(table, replace(first, thresholds=mean), replicates, optimistic, notes, failures, source)
    return replace(whole, guards=_guards([r.guards for r in reports]))


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
