"""Finding entries: by who, what, on what, with what outcome, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Select, func, select

from insula.core.errors import UsageError
from insula.serve.store.schema import trail
from insula.serve.trail.entries import Entry, instant
from insula.serve.trail.rows import EVERY, few, stream

LARGEST_PAGE: Final = 1000


@dataclass(frozen=True)
class Filter:
    """Entries that have all of what is given, as it stands there. since: first instant; until: the first beyond."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Entries, the newest first. before: what to give for the next page, None at the end."""

    entries: tuple[Entry, ...]
    before: int | None


ALL: Final = Filter()


def page(connection: Connection, wanted: Filter = ALL, *, before: int | None = None, limit: int = 100) -> Page:
    """The newest entries that are wanted, with numbers below `before`. Raises UsageError for a limit out of range."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise UsageError(f"A page of {limit} entries is asked for; ask for 1 to {LARGEST_PAGE}.")
    statement = _where(EVERY, wanted).order_by(None).order_by(trail.c.seq.desc()).limit(limit + 1)
    found = few(connection, statement if before is None else statement.where(trail.c.seq < before))
    more = len(found) > limit
    return Page(found[:limit], found[limit - 1].seq if more else None)


def matching(connection: Connection, wanted: Filter = ALL) -> Iterator[Entry]:
    """All entries that are wanted, the oldest first, a few in memory at a time."""
    return stream(connection, _where(EVERY, wanted))


def known(connection: Connection, name: Literal["actor", "action"], most: int = 100) -> list[str]:
    """The values that a column has, in order, `most` at most: one look into its index for each, however many rows."""
    column, found = trail.c[name], list[str]()
    while len(found) < most:
        beyond = select(func.min(column)).where(column > (found[-1] if found else ""))
        following = connection.execute(beyond).scalar_one_or_none()
        if following is None:
            break
        found.append(str(following))
    return found


def _where(statement: Select[Any], wanted: Filter) -> Select[Any]:
    for name in ("actor", "action", "subject", "outcome"):
        if value := getattr(wanted, name):
            statement = statement.where(trail.c[name] == value)
    if wanted.since is not None:
        statement = statement.where(trail.c.at >= instant(wanted.since))
    if wanted.until is not None:
        statement = statement.where(trail.c.at < instant(wanted.until))
    return statement
