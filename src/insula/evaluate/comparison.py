"""What a comparison of two models on the same cases holds, its form as JSON and as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from insula.evaluate.evidence import Guard, Looks
from insula.evaluate.facts import Facts
from insula.evaluate.outcome import LIMITS, plain
from insula.metrics.compare import Comparison, Discordance


@dataclass(frozen=True)
class Side:
    """One of the two: its name for people, the id of its bundle or the hash of its predictions, its thresholds.

    roc: false and true positive rates of the ROC curve's corners; None without both classes. optimistic: reasons why
    its figures are better than they would be on new patients.
    """

    name: str
    model: str
    thresholds: Mapping[str, float]
    roc: tuple[tuple[float, ...], tuple[float, ...]] | None
    optimistic: tuple[str, ...]
    guards: tuple[Guard, ...]


@dataclass(frozen=True)
class Compared:
    """One figure of both models: `found` holds their values, the first minus the second, and the p-value.

    adjusted: the p-value corrected for the number of figures (Holm); NaN where undefined. higher_is_better: False for
    scores of error.
    """

    figure: str
    found: Comparison
    adjusted: float
    higher_is_better: bool


@dataclass(frozen=True)
class ComparisonReport:
    """Two models on the same cases, pooled to patients, for the positive class against the rest.

    tests: DeLong for the ROC-AUC, else the paired bootstrap over patients. mcnemar: patients where only one of the two
    is right, each at its own threshold; mcnemar_adjusted: its p-value, in the same Holm correction as the tests.
    cases, patients, positives: of those that both predicted. headline: what the ROC-AUC says, or why it may not be
    believed.
    """

    facts: Facts
    first: Side
    second: Side
    headline: str
    cases: int
    patients: int
    positives: int
    replicates: int
    tests: tuple[Compared, ...]
    mcnemar: Discordance
    mcnemar_adjusted: float
    looks: Looks | None
    notes: tuple[str, ...]
    source: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain JSON data; what is not a number becomes null, with its reason."""
        return {"limits": LIMITS, "kind": "comparison", **{f.name: plain(getattr(self, f.name)) for f in fields(self)}}

    def summary(self, named: Callable[[str], str] = str) -> str:
        """The comparison for the terminal. named: what a figure is called, by its key (`report.words.name`)."""
        lines = [self.headline, "", f"{self.facts.positive}, {self.patients} patients, {self.positives} positive"]
        lines += [f"  A = {self.first.name}", f"  B = {self.second.name}", ""]
        rows = [("", "A", "B", "A − B", "95% interval", "p", "p (Holm)")]
        for test in self.tests:
            found = test.found
            rows.append(
                (
                    named(test.figure),
                    _number(found.first),
                    _number(found.second),
                    _number(found.difference.value),
                    _interval(found),
                    _p(found.p_value),
                    _p(test.adjusted),
                )
            )
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        m = self.mcnemar
        lines += [
            "",
            f"Only A right: {m.only_first}, only B right: {m.only_second} ({m.method}: p {_p(m.p_value)}, after Holm "
            f"{_p(self.mcnemar_adjusted)}).",
        ]
        lines += ["", self.looks.sentence] if self.looks else []
        lines += ["", *(f"Note: {note}" for note in self.notes), LIMITS]
        return "\n".join(lines)


def _number(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value:.3f}".replace("-", "−")


def _interval(found: Comparison) -> str:
    ends = found.difference.interval
    return found.difference.reason or "none" if ends is None else f"{_number(ends[0])} to {_number(ends[1])}"


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
