"""The record of looks at a test set: what was planned, and how often its cases were looked at.

Looks are counted in two files. One lies beside the table (`cohort.parquet.looks.jsonl`), so that a second report in
another folder counts too and the count travels with the data; the other is the user's own register, so that a table
under another name, in another order or in another folder is known again by its cases and their labels. Records of
other tables in the same folder are read besides. It is no seal: who removes the files, or their ends, starts anew.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insula.evaluate import looks_file, marks
from insula.evaluate import plan as plans
from insula.evaluate.evidence import Guard, Look, Looks, Plan
from insula.evaluate.looks_file import SUFFIX, Record, Seen
from insula.evaluate.marks import Marks
from insula.evaluate.outcome import plain

VARIABLE = "INSULA_LOOKS"
_SHOWN = 20
_NAMED = 3


@dataclass(frozen=True)
class Places:
    """Where looks are counted: beside the table, and in the user's own register (None without one)."""

    record: Path
    register: Path | None = None

    @property
    def table(self) -> str:
        """The name of the table."""
        return self.record.name.removesuffix(SUFFIX)

    def others(self) -> tuple[Path, ...]:
        """Records of other tables: the register, and those in the same folder."""
        near = sorted(path for path in self.record.parent.glob(f"*{SUFFIX}") if path != self.record)
        return (*((self.register,) if self.register else ()), *near)


def beside(table: Path) -> Path:
    """Where the looks at the cases of a table are counted."""
    return table.with_name(f"{table.name}{SUFFIX}")


def place(table: Path, folder: Path) -> Path:
    """`beside` the table, or in the report's folder where nothing may be written beside it."""
    wanted = beside(table)
    free = os.access(wanted, os.W_OK) if wanted.exists() else os.access(wanted.parent, os.W_OK)
    return wanted if free else folder / wanted.name


def register(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The user's own register: `INSULA_LOOKS`, else a file in `XDG_STATE_HOME` or `~/.local/state`.

    None where the variable is empty, or where nothing can be written there.
    """
    if VARIABLE in environment:
        wanted = Path(environment[VARIABLE]).expanduser() if environment[VARIABLE] else None
    else:
        home = environment.get("HOME", "")
        state = Path(environment.get("XDG_STATE_HOME") or Path(home) / ".local" / "state")
        wanted = state / "insula" / "looks.jsonl" if state.is_absolute() else None
    if wanted is None:
        return None
    there = next((path for path in (wanted, *wanted.parents) if path.exists()), wanted)
    return wanted if os.access(there, os.W_OK) else None


def plan(places: Places, made: Plan, here: Marks) -> Plan:
    """Write a plan down before its cases are looked at; one that stands there already is kept, and given back."""
    content = {"kind": "plan", "plan": plain(made), **plain(here)}

    def fresh(record: Record) -> dict[str, Any] | None:
        return None if any(one.hash == made.hash for one, _ in record.planned) else content

    record = looks_file.append(places.record, fresh)
    if places.register:
        looks_file.append(places.register, fresh)
    return next((one for one, _ in record.planned if one.hash == made.hash), made)


def look(places: Places, made: Plan, here: Marks) -> Looks:
    """Count a look by a plan that `plan` wrote down, and say what came before it."""
    others = [looks_file.read(path) for path in places.others()]
    now = _now(places, made)
    return _told(places, made, here, now, _put(places, now), others)


def preview(places: Places, made: Plan, here: Marks) -> Looks:
    """What `look` would say, without counting it: for figures that nobody may see in the end."""
    others = [looks_file.read(path) for path in places.others()]
    return _told(places, made, here, _now(places, made), looks_file.read(places.record), others)


def count(places: Places, made: Plan) -> None:
    """Count a look that `preview` told, now that its figures are seen."""
    _put(places, _now(places, made))


def guard(found: Looks | None) -> Guard:
    """Whether the plan stood before the first look and was kept; more looks than one are said, not failed."""
    if found is None:
        return Guard("plan", "cannot tell", "no plan was written down and no looks were counted")
    if not found.intact:
        return Guard("plan", "cannot tell", f"the record of looks '{found.record}' was changed by hand")
    said = f"{found.sentence[:1].lower()}{found.sentence[1:-1]}"  # names of tables keep their capitals
    if found.changes:
        told = f"{said}, and not all is as planned before the first: {'; '.join(found.changes)}"
        return Guard("plan", "cannot tell", told)
    return Guard("plan", "pass", said)


def _now(places: Places, made: Plan) -> Seen:
    return Seen(datetime.now(UTC).isoformat(timespec="seconds"), made.hash, uuid.uuid4().hex, places.table)


def _put(places: Places, now: Seen) -> Record:
    """Append a look to both files; the record beside the table as it was before."""
    entry = {"kind": "look", "time": now.time, "plan": now.plan, "id": now.id, "table": now.table}
    record = looks_file.append(places.record, lambda _: entry)
    if places.register:
        looks_file.append(places.register, lambda _: entry)
    return record


def _told(places: Places, made: Plan, here: Marks, now: Seen, record: Record, others: Sequence[Record]) -> Looks:
    by_hash = {one.hash: (one, cases) for part in (*others, record) for one, cases in part.planned}
    known = {one.id for one in record.looks}
    found = {one.id: one for part in others for one in part.looks if one.id not in known}
    before = [
        *((seen, by_hash.get(seen.plan), True) for seen in record.looks),
        *((seen, by_hash.get(seen.plan), False) for seen in found.values()),
    ]
    history, elsewhere, apart = list[Look](), dict[str, None](), False
    for seen, planned, own in sorted(before, key=lambda one: one[0].time):
        one, cases = planned or (made, here)
        common = marks.shared(cases, here, own)
        if common:
            history.append(Look(len(history) + 1, seen.time, one.models, seen.plan, common))
            apart = apart or not own
            if not own and seen.table != places.table:
                elsewhere[seen.table] = None
    history.append(Look(len(history) + 1, now.time, made.models, made.hash, len(here.cases)))
    first = by_hash.get(history[0].plan, (made, here))
    same = next((by_hash[one.plan][0] for one in history if one.plan in by_hash and one.models == made.models), None)
    return Looks(
        plan=made,
        number=len(history),
        first=history[0].time,
        models=len({model for one in history for model in one.models}),
        changes=plans.changes(first[0], same, made, first[1], here),
        record=places.record.name,
        intact=record.intact,
        history=tuple(history[-_SHOWN:]),
        sentence=_sentence(history, tuple(elsewhere), places.register is not None, apart),
    )


def _sentence(history: Sequence[Look], elsewhere: Sequence[str], registered: bool, apart: bool) -> str:
    if len(history) == 1:
        where = ", beside this table or in your register" if registered else " beside this table"
        return f"This is the first look at this test set that is recorded{where}."
    told = f"This is look {len(history)} at this test set; the first was on {history[0].time[:10]}"
    if apart and registered:
        told += (
            "; counted are all looks at these very patients in your register on this machine, from any folder "
            "(patients that insula makes with the same seed are the same)"
        )
    if elsewhere:
        more = f" and {len(elsewhere) - _NAMED} more" if len(elsewhere) > _NAMED else ""
        told += f"; the same cases were judged under another name: {', '.join(elsewhere[:_NAMED])}{more}"
    return f"{told}."
