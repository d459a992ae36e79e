"""Connections to the records: SQLite with a write-ahead log, or PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from insula.core.errors import MissingPartError, UsageError

_READ: Final = "insula_read"


def connect(url: str | URL) -> Engine:
    """The records behind an address, `sqlite:///FILE` or `postgresql://…`; nothing is created but SQLite's file.

    Raises UsageError for an address of another kind, MissingPartError without PostgreSQL's driver. No message repeats
    the address, which may hold a password.
    """
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            "INSULA_DATABASE is no address of a database; write sqlite:////PATH/insula.db or postgresql://USER@HOST/NAME."
        ) from error
    kind = found.get_backend_name()
    if kind == "sqlite":
        return _sqlite(found.database or "")
    if kind != "postgresql":
        raise UsageError(f"INSULA_DATABASE is of the kind '{kind}'; Insula keeps records in sqlite or postgresql.")
    try:
        return create_engine(
            found.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=20,
            pool_timeout=10,
            connect_args=_patience(found.query),
        )
    except (ImportError, NoSuchModuleError) as error:
        raise MissingPartError("PostgreSQL's driver is missing; run: pip install 'insula[postgres]'.") from error


def _patience(given: Mapping[str, Any]) -> dict[str, int]:
    """Bounds in seconds (`tcp_user_timeout`: in ms) against a server that went away without a word, for libpq."""
    own = {"connect_timeout": 5, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
    return {name: value for name, value in {**own, "tcp_user_timeout": 30_000}.items() if name not in given}


class _Cursor(sqlite3.Cursor):
    """A cursor for which damaged records are an error of the database, whatever bytes SQLite's words about them hold.

    Python's driver takes these words for UTF-8, and where they repeat damaged bytes it raises UnicodeDecodeError.
    """

    def execute(self, *given: Any) -> Self:
        with _in_words():
            return super().execute(*given)

    def executemany(self, *given: Any) -> Self:
        with _in_words():
            return super().executemany(*given)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.OperationalError("the database is damaged: SQLite's words about it are no text") from error


class _Sqlite(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def execute(self, *given: Any) -> sqlite3.Cursor:  # which would make a cursor of the usual kind
        return _Cursor(self).execute(*given)


def _sqlite(database: str) -> Engine:
    if database in ("", ":memory:"):
        raise UsageError("INSULA_DATABASE names no file; write sqlite:////PATH/insula.db.")
    Path(database).parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))  # names of patients: for its owner alone
    engine = create_engine(
        URL.create("sqlite", database=database),
        connect_args={"timeout": 30, "factory": _Sqlite},
        pool_size=20,
        max_overflow=20,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver starts no transactions of its own
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a transaction that reads first and writes later would fail at once where another wrote in between
        reads = connection.get_execution_options().get(_READ, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: all of it at the end, nothing on an error."""
    with engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One view of the records that waits for no writer."""
    with engine.connect().execution_options(**{_READ: True}) as connection:
        yield connection
