"""The record of looks at a test set: plans and looks, appended to a file beside the table of its cases.

It lies beside the table (`cohort.parquet.looks.jsonl`), not in the report's folder, so that a second report in another
folder counts too. Each line carries the SHA-256 of the line before: a line that was changed or taken out of the middle
shows. It is no seal: who removes the file, or its end, or copies the table without it, starts anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insula.core.errors import EvaluationError
from insula.evaluate import plan as plans
from insula.evaluate.evidence import Guard, Look, Looks, Plan
from insula.evaluate.outcome import plain
from insula.evaluate.plan import Marks

_SHOWN = 20
_FORMAT = "insula-looks"


@dataclass(frozen=True)
class Record:
    """What a file of looks holds. planned: (plan, marks of its cases); looks: (time, hash of a plan), in order."""

    planned: tuple[tuple[Plan, Marks], ...]
    looks: tuple[tuple[str, str], ...]
    intact: bool


def beside(table: Path) -> Path:
    """Where the looks at the cases of a table are counted."""
    return table.with_name(f"{table.name}.looks.jsonl")


def place(table: Path, folder: Path) -> Path:
    """`beside` the table, or in the report's folder where nothing may be written beside it."""
    wanted = beside(table)
    free = os.access(wanted, os.W_OK) if wanted.exists() else os.access(wanted.parent, os.W_OK)
    return wanted if free else folder / wanted.name


def read(path: Path) -> Record:
    """The record in a file; an empty one where there is none. Raises EvaluationError for a file that is none."""
    if not path.is_file():
        return Record((), (), True)
    planned: list[tuple[Plan, Marks]] = []
    seen: list[tuple[str, str]] = []
    previous, intact = "", True
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            intact &= entry["previous"] == previous
            if entry["kind"] == "plan":
                planned.append((_plan(entry["plan"]), {str(k): str(v) for k, v in entry["cases"].items()}))
            else:
                seen.append((str(entry["time"]), str(entry["plan"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise EvaluationError(
                f"Line {number} of '{path.name}' is no entry of a record of looks; restore the file, or set it aside "
                "and say so where you report the figures."
            ) from error
        previous = _digest(line)
    return Record(tuple(planned), tuple(seen), intact)


def plan(path: Path, made: Plan, here: Marks) -> Plan:
    """Write a plan down before its cases are looked at; one that stands there already is kept, and given back."""

    def fresh(record: Record) -> dict[str, Any] | None:
        known = any(one.hash == made.hash for one, _ in record.planned)
        return None if known else {"kind": "plan", "plan": plain(made), "cases": dict(here)}

    record = _append(path, fresh)
    return next((one for one, _ in record.planned if one.hash == made.hash), made)


def look(path: Path, made: Plan, here: Marks) -> Looks:
    """Count a look by a plan that `plan` wrote down, and say what came before it."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = _append(path, lambda _: {"kind": "look", "time": now, "plan": made.hash})
    by_hash = {one.hash: (one, cases) for one, cases in record.planned}
    history: list[Look] = []
    for time, name in (*record.looks, (now, made.hash)):
        one, cases = by_hash.get(name, (made, here))
        shared = len(set(cases) & set(here))
        if shared:
            history.append(Look(len(history) + 1, time, one.models, name, shared))
    first = by_hash.get(history[0].plan, (made, here))
    same = next((by_hash[one.plan][0] for one in history if one.plan in by_hash and one.models == made.models), None)
    return Looks(
        plan=made,
        number=len(history),
        first=history[0].time,
        models=len({model for one in history for model in one.models}),
        changes=plans.changes(first[0], same, made, first[1], here),
        record=path.name,
        intact=record.intact,
        history=tuple(history[-_SHOWN:]),
        sentence=_sentence(history),
    )


def guard(found: Looks | None) -> Guard:
    """Whether the plan stood before the first look and was kept; more looks than one are said, not failed."""
    if found is None:
        return Guard("plan", "cannot tell", "no plan was written down and no looks were counted")
    if not found.intact:
        return Guard("plan", "cannot tell", f"the record of looks '{found.record}' was changed by hand")
    if found.changes:
        told = f"{found.sentence[:-1].lower()}, and not all is as planned before the first: {'; '.join(found.changes)}"
        return Guard("plan", "cannot tell", told)
    return Guard("plan", "pass", found.sentence[:-1].lower())


def _sentence(history: Sequence[Look]) -> str:
    if len(history) == 1:
        return "This is the first look at this test set that is recorded beside this table."
    return f"This is look {len(history)} at this test set; the first was on {history[0].time[:10]}."


def _append(path: Path, make: Callable[[Record], dict[str, Any] | None]) -> Record:
    """Append what `make` gives for the record so far, under a lock; the record as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        record = read(path)
        entry = make(record)
        if entry is not None:
            stream.seek(0)
            lines = stream.read().splitlines()
            previous = _digest(lines[-1]) if lines else ""
            line = json.dumps({"format": _FORMAT, **entry, "previous": previous}, sort_keys=True)
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    return record


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def _plan(content: dict[str, Any]) -> Plan:
    known = {f.name for f in fields(Plan)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items() if k in known}
    return Plan(**values)
