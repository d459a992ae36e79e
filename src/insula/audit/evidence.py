"""Whether the figures may be believed at all: the guards of the evaluation, as findings."""

from __future__ import annotations

import math

import pandas as pd

from insula.audit.ground import Ground
from insula.audit.part import Check, Part
from insula.core.types import Finding

_NAMED = 5


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """Every guard as a finding `evidence/NAME`; value: how many cases or pairs it names."""
    findings = tuple(
        Finding(
            f"evidence/{guard.name}",
            float(len(guard.evidence)),
            None,
            math.nan,
            guard.verdict,
            guard.finding + (f": {', '.join(guard.evidence[:_NAMED])}" if guard.evidence else ""),
        )
        for guard in ground.report.guards
    )
    return Part("evidence", "May the figures be believed?", findings, notes=tuple(ground.report.notes))


CHECK = Check("evidence", "May the figures be believed?", judge)
