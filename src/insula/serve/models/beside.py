"""Records that lie beside a bundle `NAME`: its evaluation as `NAME.report.json`, its audit as `NAME.audit.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from insula.audit.outcome import SCHEMA as AUDIT_SCHEMA
from insula.report.record import SCHEMA, Record

What = Literal["report", "audit"]
_MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class Beside:
    """What lies there. record: None where nothing does, or where it was refused; reason: why, "" otherwise.

    file: its name, to be put beside the bundle.
    """

    file: str
    record: Record | None = None
    reason: str = ""


def beside(path: Path, bundle_id: str, what: What) -> Beside:
    """The record beside a bundle at `path`: `report.json` of `insula evaluate`, or `audit.json` of `insula audit`.

    One of another bundle, or of another version of the record, is refused with a reason.
    """
    file = path.with_name(f"{path.name}.{what}.json")
    if not file.is_file():
        return Beside(file.name)
    stamp = file.stat()
    if stamp.st_size > _MOST_BYTES:
        return Beside(
            file.name, None, f"It has {stamp.st_size:,} bytes, and {_MOST_BYTES:,} are the most that is read."
        )
    held = _content(file, stamp.st_mtime_ns, stamp.st_size)
    if held is None:
        return Beside(file.name, None, "It is no JSON; copy it here again.")
    reason = _amiss(held, bundle_id, what)
    return Beside(file.name, None, reason) if reason else Beside(file.name, held)


def _amiss(held: Any, bundle_id: str, what: What) -> str:
    """Why a record is not taken, "" where it is."""
    schema, command = (SCHEMA, "evaluate") if what == "report" else (AUDIT_SCHEMA, "audit")
    none = f"It is no record of schema {schema} of insula {command}; run that again."
    if not isinstance(held, dict) or held.get("schema") != schema or not isinstance(held.get("facts"), dict):
        return none
    if (held.get("kind") == "audit") != (what == "audit"):
        return none
    model = held["facts"] if what == "audit" else held.get("model")
    of = model.get("bundle") if isinstance(model, dict) else None
    if of != bundle_id:
        named = f"the bundle {str(of)[:16]}" if of else "no bundle"
        return f"It is of {named}, and this one is {bundle_id[:16]}; run insula {command} on this one."
    return ""


@lru_cache(maxsize=8)
def _content(file: Path, changed: int, size: int) -> Any:
    """The JSON of a file, None for one that has none; remembered as long as the file is the same."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
