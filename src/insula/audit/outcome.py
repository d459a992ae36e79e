"""What an audit found, and its form as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from insula.audit.part import Part
from insula.core.types import Finding, Verdict
from insula.evaluate.outcome import LIMITS, Failure, plain

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class AuditReport:
    """The parts of an audit.

    failures: cases that could not be predicted, and so were not audited, then those that could not be measured. table:
    what was measured, a row a case.
    """

    facts: Mapping[str, Any]
    parts: tuple[Part, ...]
    failures: tuple[Failure, ...]
    table: pd.DataFrame

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings: what failed first, then what cannot be told, then what passed; otherwise in their order."""
        rank: dict[Verdict, int] = {"fail": 0, "cannot tell": 1, "pass": 2}
        return tuple(sorted((f for part in self.parts for f in part.findings), key=lambda f: rank[f.verdict]))

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that failed."""
        return tuple(f for f in self.findings if f.verdict == "fail")

    @property
    def verdict(self) -> Verdict:
        """Fail where any finding failed, pass where all that are judged passed, otherwise cannot tell.

        A finding is judged where it has a limit, or a verdict without one.
        """
        verdicts = {f.verdict for f in self.findings if math.isfinite(f.limit) or f.verdict != "cannot tell"}
        if "fail" in verdicts:
            return "fail"
        return "pass" if verdicts == {"pass"} else "cannot tell"

    def to_dict(self) -> dict[str, Any]:
        """Everything but the table of cases, as plain data."""
        content: dict[str, Any] = plain(
            {
                "schema": SCHEMA,
                "kind": "audit",
                "limits": LIMITS,
                "facts": dict(self.facts),
                "verdict": self.verdict,
                "findings": self.findings,
                "parts": self.parts,
                "failures": self.failures,
            }
        )
        return content
