"""Which stored files the records still name."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, func, select, union

from insula.serve.store import schema

_SHA256: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_LOCK: Final = 7_305_801_542_116_001  # any number of our own, the same in every replica
_CHUNK: Final = 500
NAMING: Final = (schema.files, schema.artefacts, schema.pacs_instances, schema.pacs_objects)


def hold_files(connection: Connection, alone: bool) -> None:
    """Until the transaction ends: name files together with others, or delete them alone.

    Without it a file could be deleted between the moment when it is found in the store and that when it is named. On
    SQLite a transaction that writes is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock if alone else func.pg_advisory_xact_lock_shared
        connection.execute(select(lock(_LOCK)))


def in_use(connection: Connection, hashes: Collection[str]) -> frozenset[str]:
    """Those of the hashes that a study, an artefact, a received or a made object, or a job names."""
    wanted = sorted(set(hashes))
    found: set[str] = set()
    for part in chunks(wanted):
        named = union(*(select(table.c.sha256).where(table.c.sha256.in_(part)) for table in NAMING))
        found.update(connection.scalars(named))
    if set(wanted) - found:
        found |= of_jobs(connection) & set(wanted)
    return frozenset(found)


def chunks(items: list[str]) -> Iterator[list[str]]:
    """The items in lists short enough for one statement."""
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def named_in(values: Iterable[Any]) -> set[str]:
    """The hashes that JSON values name."""
    return {name for value in values if value is not None for name in _SHA256.findall(text_of(value))}


def text_of(value: Any) -> str:
    """JSON text of a column's value, in which names can be looked for."""
    return json.dumps(value, ensure_ascii=False)


def of_jobs(connection: Connection) -> set[str]:
    """Hashes in what jobs were told and gave: of files, and of other things."""
    jobs = schema.jobs.c
    return {name for row in connection.execute(select(jobs.payload, jobs.result)) for name in named_in(row)}
