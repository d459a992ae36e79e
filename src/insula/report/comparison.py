"""Two models on the same cases as one HTML page, from the record of their comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from insula.core import provenance
from insula.core.errors import EvaluationError
from insula.evaluate.comparison import ComparisonReport
from insula.metrics import interval_choice
from insula.report.draw import UNIT, Axis, Chart, Drawing, Series, strip
from insula.report.page import template
from insula.report.record import FIGURES, Record, content

PAGE = "report.html"
KIND = "comparison"


def write(report: ComparisonReport, folder: Path) -> Path:
    """Write `report.html` and `report.json` (every figure) into the folder; return the path of the page."""
    record = {"schema": 1, **report.to_dict(), "origin": provenance.record()}
    return _put(record, folder)


def rewrite(folder: Path) -> Path:
    """Write the page anew from `report.json`.

    Raises EvaluationError where there is none, or it is not the record of a comparison.
    """
    return _put(load(folder), folder)


def load(folder: Path) -> dict[str, Any]:
    """The record of a comparison in a folder; EvaluationError where there is none."""
    record = content(folder)
    if not is_one(record):
        raise EvaluationError(
            f"'{folder / FIGURES}' is not the record of a comparison; give a folder that insula compare wrote."
        )
    found: dict[str, Any] = record
    return found


def is_one(record: Any) -> bool:
    """Whether a record is that of a comparison."""
    return isinstance(record, dict) and record.get("kind") == KIND and record.get("schema") == 1


def render(record: Record) -> str:
    """The page as text, without script and without an address of any other file."""
    optimistic = [(side["name"], reason) for side in _sides(record) for reason in side["optimistic"]]
    return template("comparison.html").render(
        record=record,
        facts=record["facts"],
        optimistic=optimistic,
        roc=_roc(record),
        strips=_strips(record),
        short=interval_choice.short("difference of ROC-AUC"),
    )


def _put(record: Record, folder: Path) -> Path:
    text = render(record)
    provenance.write_json(folder / FIGURES, dict(record))
    provenance.write_text(folder / PAGE, text)
    return folder / PAGE


def _roc(record: Record) -> Drawing | None:
    """Both ROC curves, and where each model's threshold puts it."""
    sides = _sides(record)
    if any(side["roc"] is None for side in sides):
        return None
    chart = Chart("ROC curves", Axis(0, 1, "1 − specificity", UNIT), Axis(0, 1, "sensitivity", UNIT))
    chart.reference((0, 1), (0, 1), "chance")
    at = {test["figure"]: test["found"] for test in record["tests"]}
    drawn: tuple[tuple[Series, str, str, str], ...] = (("a", "solid", "first", "A"), ("b", "dash", "second", "B"))
    for side, (series, dash, place, letter) in zip(sides, drawn, strict=True):
        x, y = side["roc"]
        chart.line(x, y, series, f"{letter}: {side['name']}", dash)
        specificity, sensitivity = (at.get(name, {}).get(place) for name in ("specificity", "sensitivity"))
        if specificity is not None and sensitivity is not None:
            chart.points((1 - specificity,), (sensitivity,), series, f"{letter} at its threshold", hollow=True)
    return chart.done(f"{record['patients']:,} patients, {record['positives']:,} with {record['facts']['positive']}")


def _strips(record: Record) -> dict[str, str]:
    """For each figure its difference and interval on one scale, as a small picture beside the numbers."""
    gaps = {t["figure"]: t["found"]["difference"] for t in record["tests"]}
    shown = {name: g for name, g in gaps.items() if g["interval"] and g["value"] is not None}
    widest = max((abs(v) for g in shown.values() for v in (*g["interval"], g["value"])), default=1.0) or 1.0
    return {name: strip(g["value"], g["interval"], widest) for name, g in shown.items()}


def _sides(record: Record) -> tuple[Any, Any]:
    return record["first"], record["second"]
