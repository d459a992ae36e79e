"""An audit as a page, a sheet of paper, JSON and a table of what was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from insula.audit.outcome import SCHEMA, AuditReport
from insula.audit.run import ORDER
from insula.core import provenance
from insula.core.errors import EvaluationError
from insula.core.style import sheet
from insula.evaluate.outcome import LIMITS
from insula.report import audit_advice, audit_charts, audit_open, audit_words, inline, words
from insula.report.features_page import part as beside
from insula.report.page import template
from insula.report.record import Record, parquet

PAGE, BRIEF, FIGURES, CASES = "audit.html", "summary.html", "audit.json", "audit-cases.parquet"
LISTED = 12  # rows of findings beyond which they are folded
ROWS = 30  # rows of a table beyond which it is folded
WIDE = 7  # columns beyond which intervals are set below each other
_TOLD = 20
_FAILURES = 10


def write(report: AuditReport, folder: Path) -> tuple[Path, ...]:
    """Write `audit.html`, `summary.html` (one sheet), `audit.json` and `audit-cases.parquet`; their paths so ordered.

    Files of these names are replaced, any others stay. Both pages are made before the first file is written.
    """
    table = parquet(report.table)
    cases = {
        "file": CASES,
        "sha256": provenance.sha256_bytes(table),
        "rows": len(report.table),
        "columns": [str(name) for name in report.table.columns],
    }
    held = json.loads(json.dumps(report.to_dict() | {"cases": cases, "origin": provenance.record()}, allow_nan=False))
    pages = render(held), brief(held)
    provenance.write_bytes(folder / CASES, table)
    provenance.write_json(folder / FIGURES, held)
    return (*_put(pages, folder), folder / FIGURES, folder / CASES)


def rewrite(folder: Path) -> tuple[Path, Path]:
    """Write both pages anew from `audit.json`; their paths. EvaluationError where that is no record of an audit."""
    held = load(folder)
    return _put((render(held), brief(held)), folder)


def is_one(folder: Path) -> bool:
    """Whether an audit was written into a folder."""
    return (folder / FIGURES).is_file()


def load(folder: Path) -> Record:
    """The record of an audit.

    Raises EvaluationError where there is none, or `audit-cases.parquet` beside it is another than it was written with.
    """
    path, cases = folder / FIGURES, folder / CASES
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EvaluationError(f"'{folder}' has no {FIGURES}; give a folder that insula audit wrote.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise EvaluationError(f"'{path}' is no JSON ({error}); audit again.") from error
    if not isinstance(held, dict) or held.get("kind") != "audit" or held.get("schema") != SCHEMA or "cases" not in held:
        raise EvaluationError(f"'{path}' is no record of schema {SCHEMA} of an audit; run insula audit again.")
    if cases.is_file() and provenance.sha256_file(cases) != held["cases"]["sha256"]:
        raise EvaluationError(f"'{cases}' is not the table that {FIGURES} was written with; audit again.")
    found: Record = held
    return found


def render(record: Record) -> str:
    """The page as text: charts as inline SVG, no script, no picture of a patient, nothing from outside."""
    facts, of = record["facts"], audit_words.of_verdict(record["findings"])
    return template("audit.html").render(
        **_shared(record),
        of=of,
        open=audit_words.by_reason(of["cannot tell"]),
        reasons=audit_words.REASONS,
        parts=[_part(place, one) for place, one in enumerate(record["parts"], start=1)],
        skipped=[name for name in ORDER if name not in facts["checks"]],
        used=list(_limits(facts["limits"], "audit")),
        cell=cell,
        listed=LISTED,
        rows=ROWS,
        failures=_FAILURES,
    )


def brief(record: Record) -> str:
    """The verdict on one sheet of A4, for a reviewer to sign."""
    of = audit_words.of_verdict(record["findings"])
    shown = audit_advice.gravest(of["fail"])
    return template("audit_summary.html").render(
        **_shared(record, 40),
        shown=shown,
        more=len(of["fail"]) - len(shown),
        open=audit_open.shown(of["cannot tell"]),
        reasons=audit_words.REASONS,
        steps=audit_advice.steps(record),
        page=PAGE,
    )


def summary(report: AuditReport) -> str:
    """The verdict, what failed with its figures, and how much could not be told, as lines for the terminal."""
    held = report.to_dict()
    of = audit_words.of_verdict(held["findings"])
    lines = [audit_words.audited(held["facts"]), f"{audit_words.headline(held)} {audit_words.others(held)}".strip()]
    for one in of["fail"][:_TOLD]:
        told = audit_words.measured(one)
        lines.append(f"  Fails: {one['check']}{f': {told}' if told else ''}")
        lines.append(f"    {audit_words.evidence(one)}")
    if len(of["fail"]) > _TOLD:
        lines.append(f"  {len(of['fail']) - _TOLD:,} more fail; the page has them all.")
    lines += [
        f"  Cannot be told ({len(found):,}): {audit_words.REASONS[kind]}."
        for kind, found in audit_words.by_reason(of["cannot tell"]).items()
    ]
    if held["failures"]:
        first = held["failures"][0]
        lines.append(
            f"{words.plural(len(held['failures']), 'case')} could not be predicted or measured; the first: "
            f"{first['case']}: {first['reason']}"
        )
    return "\n".join([*lines, LIMITS])


def cell(value: Any, column: str) -> tuple[str, str, bool]:
    """What stands in a cell of a table: its text, what stands small below it, and whether that is an interval."""
    if isinstance(value, Mapping):
        return words.value(value), words.interval(value), value["interval"] is not None
    if isinstance(value, bool | str) or value is None:
        return words.flat(value), "", False
    if column == "p" or column.startswith(("p ", "p,")):
        return words.chance(value), "", False
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−"), "", False
    return _number(value), "", False


def _number(x: float) -> str:
    """Three decimals; none from a thousand on, and two digits where three decimals would show nothing but zeros."""
    if not math.isfinite(x) or x == 0 or 0.0005 <= abs(x) < 1000:
        return words.number(x)
    return (f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.2g}").replace("-", "−")


def content_policy() -> str:
    """A Content-Security-Policy under which both pages show as they should, and could fetch or run nothing."""
    return inline.content_policy(_style())


def _style() -> str:
    return f"{sheet()}\n{beside('audit.css')}"


def _shared(record: Record, most: int = 10_000) -> dict[str, Any]:
    return {
        "record": record,
        "facts": record["facts"],
        "origin": record["origin"],
        "headline": audit_words.headline(record),
        "counted": audit_words.others(record),
        "audited": audit_words.audited(record["facts"], most),
        "say": audit_words,
        "style": _style(),
    }


def _part(place: int, held: Mapping[str, Any]) -> dict[str, Any]:
    tables = [
        {
            **table,
            "wide": len(table["columns"]) > WIDE,
            "numeric": [_numeric(table, i) for i in range(len(table["columns"]))],
        }
        for table in held["tables"]
    ]
    return {
        "id": f"part-{place}",
        "title": held["title"],
        "name": held["name"],
        "counts": audit_words.counts(held["findings"]),
        "failed": [one for one in held["findings"] if one["verdict"] == "fail"],
        "alone": [] if tables or held["charts"] or held["name"] == "evidence" else held["findings"],
        "tables": tables,
        "panel": audit_charts.panel(held["charts"]) if held["charts"] else None,
        "notes": words.gathered(held["notes"]),
    }


def _numeric(table: Mapping[str, Any], i: int) -> bool:
    """Whether a column stands to the right: a further one of bare numbers, in a table that leaves room for it."""
    fits, held = i > 0 and len(table["columns"]) <= WIDE, [row[i] for row in table["rows"]]
    known = any(value is not None for value in held)
    return fits and known and all(isinstance(value, int | float | None) for value in held)


def _limits(held: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    """Every key of the recipe's section with its value in words."""
    for name, value in held.items():
        if isinstance(value, Mapping):
            yield from _limits(value, f"{key}.{name}")
        else:
            yield f"{key}.{name}", "not judged" if value is None else "all" if value == [] else words.flat(value)


def _put(pages: tuple[str, str], folder: Path) -> tuple[Path, Path]:
    provenance.write_text(folder / BRIEF, pages[1])
    provenance.write_text(folder / PAGE, pages[0])
    return folder / PAGE, folder / BRIEF
