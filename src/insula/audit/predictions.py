"""Whether a table of predictions made elsewhere holds what the bundle says of these cases, each in its own row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from insula.audit.ground import Ground
from insula.audit.part import Check, Part
from insula.core.types import Finding, Verdict
from insula.metrics import proportion

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Do predictions made elsewhere belong to their cases?"
_SAME = 0.005  # of a probability: rounding to two digits
_FEWEST = 10
_NAMED = 5


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`predictions/order`: the same probabilities in other rows. `predictions/values`: others than the bundle's."""
    given = ground.given
    if given is None:
        return Part("predictions", TITLE, (), notes=("No table of predictions was given to hold against the bundle.",))
    rows = ground.rows
    there = np.array([key in given for key in rows.keys.tolist()])
    if not there.any():
        told = "not one case of the table is among those that were predicted"
        return Part("predictions", TITLE, (Finding("predictions/values", math.nan, None, 0.0, "cannot tell", told),))
    theirs = np.array([given[key] for key in rows.keys[there].tolist()])
    own = ground.scores(rows)[there]
    apart = np.abs(theirs - own) > _SAME
    found = proportion.figure(apart, np.ones(len(apart), bool), rows.patients[there], "no case")
    wrong = ", ".join(rows.keys[there][apart][:_NAMED].tolist())
    sorted_alike = np.abs(np.sort(theirs) - np.sort(own)).max() <= _SAME
    moved = bool(apart.any() and sorted_alike and len(own) >= _FEWEST)
    order = (
        f"The table holds the bundle's own probabilities in other rows: {found.events} of {found.n} do not belong to "
        f"their case ({wrong}). Figures made from it are those of shuffled answers."
        if moved
        else "The probabilities do not stand in other rows than their own."
    )
    values = (
        f"{found.events} of {found.n} probabilities differ from the bundle's ({wrong}): the table is of another model, "
        "of other scans, or was changed."
        if apart.any()
        else f"All {found.n} probabilities are the bundle's."
    )
    other: Verdict = "fail" if apart.any() and not moved else "pass"
    findings = [Finding("predictions/order", float(moved), None, 0.0, "fail" if moved else "pass", order)]
    findings.append(Finding("predictions/values", found.value, found.interval, 0.0, other, values))
    return Part("predictions", TITLE, tuple(findings))


CHECK = Check("predictions", TITLE, judge)
