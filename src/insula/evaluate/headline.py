"""The one sentence of a report: the figures, or why they may not be believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insula.evaluate.facts import Facts
from insula.evaluate.outcome import Level
from insula.metrics.intervals import Figure


def headline(facts: Facts, patient: Level, optimistic: Sequence[str]) -> str:
    """The positive class's figures over patients; where there is a reason that makes them optimistic, the reasons."""
    if optimistic:
        return f"Optimistic: {'; '.join(optimistic)}."
    found = patient.classes[facts.positive]
    parts = [
        said("ROC-AUC", found.figures["roc_auc"]),
        said("sensitivity", found.figures["sensitivity"]),
        said("specificity", found.figures["specificity"]),
    ]
    return f"{facts.positive}: {', '.join(parts)}; {rows(patient)}, {found.tp + found.fn} of them positive."


def rows(level: Level) -> str:
    """How many patients a level holds, or cases where nobody knows whose they are, with their noun."""
    return f"{level.rows} {level.name}{'s' * (level.rows != 1)}"


def said(name: str, figure: Figure) -> str:
    """A figure with its interval in words."""
    if not np.isfinite(figure.value):
        return f"{name} not defined ({figure.reason})"
    if figure.interval is None:
        return f"{name} {figure.value:.3f} (no interval: {figure.reason})"
    return f"{name} {figure.value:.3f} (95% interval {figure.interval[0]:.3f} to {figure.interval[1]:.3f})"
