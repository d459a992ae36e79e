"""Out-of-fold predictions of several bundles, judged as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from insula.core.errors import EvaluationError
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import REPLICATES, evaluate_table


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
    return evaluate_table(table, replace(first, thresholds=mean), replicates, optimistic, notes, failures, source)


def _general(reason: str) -> str:
    """A fold's reason without its own counts, which differ from fold to fold."""
    head, _, tail = reason.partition(" here were in the training data")
    if not tail and head != reason:
        return f"{head.split()[-1]} of the test folds were in the training data of the same fold"
    return reason
