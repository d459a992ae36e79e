"""A file of plans and looks, a line each, in which every line carries the SHA-256 of the line before."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from insula.core.errors import EvaluationError
from insula.evaluate.evidence import Plan
from insula.evaluate.marks import Marks

SUFFIX = ".looks.jsonl"
_FORMAT = "insula-looks"


@dataclass(frozen=True)
class Seen:
    """One look: when, by which plan, its own id, and the name of the table that was judged."""

    time: str
    plan: str
    id: str
    table: str


@dataclass(frozen=True)
class Record:
    """What a file of looks holds, in order: plans with the marks of their cases, and looks."""

    planned: tuple[tuple[Plan, Marks], ...]
    looks: tuple[Seen, ...]
    intact: bool


def read(path: Path) -> Record:
    """The record in a file; an empty one where there is none. Raises EvaluationError for a file that is none."""
    if not path.is_file():
        return Record((), (), True)
    planned: list[tuple[Plan, Marks]] = []
    seen: list[Seen] = []
    previous, intact = "", True
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            intact &= entry["previous"] == previous
            if entry["kind"] == "plan":
                planned.append((_plan(entry["plan"]), _marks(entry)))
            else:
                name = str(entry.get("id", f"{path.name}:{number}"))
                seen.append(
                    Seen(
                        str(entry["time"]),
                        str(entry["plan"]),
                        name,
                        str(entry.get("table", path.name.removesuffix(SUFFIX))),
                    )
                )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise EvaluationError(
                f"Line {number} of '{path.name}' is no entry of a record of looks; restore the file, or set it aside "
                "and say so where you report the figures."
            ) from error
        previous = _digest(line)
    return Record(tuple(planned), tuple(seen), intact)


def append(path: Path, make: Callable[[Record], dict[str, Any] | None]) -> Record:
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


def _marks(entry: dict[str, Any]) -> Marks:
    cases, names = ({str(k): str(v) for k, v in entry.get(part, {}).items()} for part in ("cases", "names"))
    return Marks(cases, names, bool(entry.get("whole", False)))
