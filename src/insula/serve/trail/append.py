"""Writing an entry, in the transaction of what it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, func, insert, select

from insula.core.errors import TrailError
from insula.serve.store.schema import trail
from insula.serve.trail.entries import Entry, following, holds
from insula.serve.trail.keys import entry_key
from insula.serve.trail.rows import end, newest

_LOCK: Final = 0x696E73756C61  # "insula": the advisory lock of PostgreSQL that one writer at a time holds
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


def append(
    connection: Connection,
    key: bytes,
    *,
    actor: str,
    action: str,
    subject: str = "",
    outcome: str = "done",
    detail: Mapping[str, object] = _NOTHING,
    at: datetime | None = None,
) -> Entry:
    """Add the next entry to the chain; it stands once the caller's transaction, opened by `writing`, is committed.

    The chain is the caller's alone from here to the end of the transaction, so append last: others wait. actor: who, by
    user id. action: what, as `study.read`. subject: on what, by an id of ours. detail: few plain facts, never a
    patient's. at: now, unless given. Raises TrailError for a field out of bounds, the database's errors as they are;
    either ends the transaction, so that nothing is done that the trail does not tell.
    """
    if connection.dialect.name == "postgresql":  # SQLite's writing transactions are one at a time as they are
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    entry = following(
        end(connection),
        entry_key(key),
        actor=actor,
        action=action,
        subject=subject,
        outcome=outcome,
        detail=detail,
        at=at or datetime.now(UTC),
    )
    connection.execute(insert(trail).values(asdict(entry)))
    return entry


def check_key(connection: Connection, key: bytes) -> None:
    """Refuse to go on a trail whose last entry does not hold under the key; for the start of a service or worker."""
    last = newest(connection)
    if last is not None and not holds(last, entry_key(key)):
        raise TrailError(
            f"The last entry of the trail, {last.seq}, does not hold under INSULA_TRAIL_KEY: the key is not the "
            "one it was written with, or the entry was changed; run: insula audit-trail verify."
        )
