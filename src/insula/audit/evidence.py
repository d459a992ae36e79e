"""Whether the figures may be believed at all: the guards of the evaluation, as findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from insula.audit.ground import Ground
from insula.audit.part import Check, Part
from insula.core.types import Finding

if TYPE_CHECKING:
    import pandas as pd

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
            guard.finding + _named(guard.evidence),
        )
        for guard in ground.report.guards
    )
    return Part("evidence", "May the figures be believed?", findings, notes=tuple(ground.report.notes))


def _named(keys: Sequence[str]) -> str:
    more = " and others" if len(keys) > _NAMED else ""  # a guard names the first few alone
    return f": {', '.join(keys[:_NAMED])}{more}" if keys else ""


CHECK = Check("evidence", "May the figures be believed?", judge)
