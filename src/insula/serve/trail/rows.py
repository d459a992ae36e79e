"""Entries as the database holds them, one after the other, also where somebody damaged them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from insula.serve.store.schema import trail
from insula.serve.trail.entries import START, Entry, Mark, mark_of

_BATCH: Final = 500  # rows in memory at a time

EVERY: Final[Select[Any]] = select(trail).order_by(trail.c.seq)


def stream(connection: Connection, statement: Select[Any] = EVERY) -> Generator[Entry, None, None]:
    """The rows of a statement over the trail as entries, a few in memory at a time."""
    with _leniently(connection), connection.execute(statement, execution_options={"yield_per": _BATCH}) as rows:
        for row in rows:
            yield _entry(row)


def few(connection: Connection, statement: Select[Any]) -> tuple[Entry, ...]:
    """The rows of a statement that has a limit, all at once."""
    with _leniently(connection):
        return tuple(_entry(row) for row in connection.execute(statement).all())


def newest(connection: Connection) -> Entry | None:
    """The last entry."""
    return next(iter(few(connection, select(trail).order_by(trail.c.seq.desc()).limit(1))), None)


def end(connection: Connection) -> Mark:
    """The place of the last entry, START where there is none."""
    last = newest(connection)
    return START if last is None else mark_of(last)


def _entry(row: Any) -> Entry:
    seq = row.seq if isinstance(row.seq, int) else -1
    return Entry(seq, *(_text(getattr(row, column.name)) for column in list(trail.c)[1:]))


def _text(value: object) -> str:
    """Text as it is; of anything else (SQLite keeps bytes where text belongs) a text that no entry can have."""
    return value if isinstance(value, str) else f"\udcff{value!r}"


@contextmanager
def _leniently(connection: Connection) -> Iterator[None]:
    """SQLite returns text that is no UTF-8, instead of failing on it: the mac then tells that it was changed."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.dbapi_connection
    before, driver.text_factory = driver.text_factory, lambda stored: stored.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before
