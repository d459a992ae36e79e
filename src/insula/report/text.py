"""The short form of a report for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from insula.evaluate.outcome import LIMITS, EvaluationReport, Level
from insula.report import words


def summary(report: EvaluationReport) -> str:
    """Headline, a table of the positive class's figures with intervals and counts, coverage, failures."""
    facts, level = report.facts, report.patient
    lines = [report.headline, "", *_table(f"{facts.positive}, {level.patients} patients", level, facts.positive)]
    if report.coverage:
        lines += ["", "Policy"]
        rows = [
            (words.COVERAGE[name], words.value(f), words.interval(f), words.basis("share", f, "cases"))
            for name, f in report.coverage.items()
        ]
        lines += _aligned(rows)
    if report.localisation:
        found = report.localisation
        lines += [
            "",
            f"Heat peak inside the lesion: {found.hits} of {found.n} true positives "
            f"({words.interval(found.pointing)}); by chance {words.percent(found.chance)}.",
        ]
    if report.failures:
        first = report.failures[0]
        lines += ["", f"{len(report.failures)} cases could not be predicted; the first: {first.case}: {first.reason}"]
    lines += ["", *(f"Note: {note}" for note in report.notes), LIMITS]
    return "\n".join(lines)


def _table(title: str, level: Level, name: str) -> list[str]:
    figures = level.classes[name].figures
    rows = [
        (words.NAMES[key], words.value(f), words.interval(f), words.basis(key, f, f"{level.name}s"))
        for key, f in ((key, figures[key]) for key in words.ORDER)
    ]
    return [title, *_aligned([("", "value", "95% interval", "on"), *rows])]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
