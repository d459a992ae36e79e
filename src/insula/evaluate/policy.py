"""What the recipe's policy did on the judged cases: accepted, referred, rejected, unlike the training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from insula.evaluate.facts import Bools, Facts, answers
from insula.evaluate.table import Sample
from insula.metrics import proportion
from insula.metrics.intervals import Figure
from insula.metrics.probabilities import exclusive

if TYPE_CHECKING:
    import pandas as pd


def coverage(table: pd.DataFrame, rows: Sample, facts: Facts, refused: Sequence[str] = ()) -> dict[str, Figure] | None:
    """Shares of cases accepted, referred and rejected, and how often the answer is right with and without the others.

    refused: the patient of each case that was rejected before the model was asked; those cases are in no table, and
    count in the three shares. None where the table has no column `action`.
    """
    if "action" not in table.columns:
        return None
    action = table["action"].to_numpy(dtype=str)
    called, hit = answers(rows.p, facts, rows.limits), right(rows, facts)
    k = facts.positive_index
    accepted, whole = action == "accept", np.ones(len(action), dtype=bool)
    done = np.concatenate([action, ["reject"] * len(refused)]) if refused else action
    owners = np.concatenate([rows.patients, list(refused)]) if refused else rows.patients

    def share(of: str) -> Figure:
        return proportion.figure(done == of, np.ones(len(done), dtype=bool), owners, "no case")

    def figure(hit: Bools, among: Bools, nothing: str = "no case") -> Figure:
        return proportion.figure(hit, among, rows.patients, nothing)

    return {
        "accepted": share("accept"),
        "referred": share("refer"),
        "rejected": share("reject"),
        "accuracy_of_all": figure(hit, whole),
        "accuracy_of_accepted": figure(hit, accepted, "no case was accepted"),
        "sensitivity_of_accepted": figure(called[:, k], accepted & rows.y[:, k], "no positive case was accepted"),
    }


def right(rows: Sample, facts: Facts) -> Bools:
    """Whether each row's answer is right (n,): the very class, or of labels that may stand together the primary one."""
    called, k = answers(rows.p, facts, rows.limits), facts.positive_index
    found: Bools = (called == rows.y).all(axis=1) if exclusive(facts.kind) else called[:, k] == rows.y[:, k]
    return found


def domain(table: pd.DataFrame, rows: Sample, facts: Facts) -> dict[str, Figure] | None:
    """Share of cases further from the training data than the policy's limit, and than half of the validation cases."""
    if "domain_score" not in table.columns:
        return None
    score = table["domain_score"].to_numpy(dtype=float)
    known = np.isfinite(score)

    def figure(limit: float) -> Figure:
        return proportion.figure(score > limit, known, rows.patients, "no case has a domain score")

    return {"beyond_limit": figure(facts.domain_limit), "beyond_median": figure(0.5)}
