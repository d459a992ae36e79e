"""A database copied to one file, as it was at one moment while others write, and made anew from that file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, MetaData, inspect, text

from insula.core.errors import MissingPartError, UsageError
from insula.core.synced import sync
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.errors import RecordsError

T = TypeVar("T")
_PATIENCE: Final = 24 * 3600.0  # seconds that PostgreSQL's own programs may take


@contextmanager
def copied(engine: Engine, target: Path) -> Iterator[Connection]:
    """Copy all tables to a new file; the block gets a view of the very rows that were copied.

    SQLite by its online backup, PostgreSQL by pg_dump at an exported snapshot: neither keeps others from writing.
    Raises MissingPartError without pg_dump, RecordsError where it fails.
    """
    if engine.dialect.name == "sqlite":
        _of_sqlite(engine, target)
        copy = connect(URL.create("sqlite", database=str(target)))  # a folder's name may hold a question mark
        try:
            with reading(copy) as connection:
                yield connection
        finally:
            copy.dispose()
            _one_file(target)
        return
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        snapshot = str(connection.scalar(text("SELECT pg_export_snapshot()")))
        _run(engine, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}",
             f"--file={target}", "--dbname={address}")  # fmt: skip
        target.chmod(0o600)
        sync(target)
        yield connection


def put_back(engine: Engine, source: Path, check: Callable[[Engine], T]) -> T:
    """Make an empty database's tables anew from a copy; what `check` found in them.

    check: looks at the tables that were made and raises where they are not as they should be. All of them are there and
    were looked at when this returns, or none is: SQLite's are looked at before they are moved to their place,
    PostgreSQL's, which are made in one transaction of another program, are dropped again. Raises as `copied`, and what
    `check` raises.
    """
    if engine.dialect.name == "sqlite":
        place = Path(str(engine.url.database))
        new = place.with_name(f"{place.name}.restored")
        new.unlink(missing_ok=True)  # of a restore that was killed
        _made(new)
        try:
            shutil.copyfile(source, new)
            found = _looked_at(new, check)
            sync(new)
            engine.dispose()
            _drop_log(place)  # of the empty file that goes
            new.replace(place)
        finally:
            new.unlink(missing_ok=True)
            _drop_log(new)
        sync(place.parent)
        return found
    _run(engine, "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges",
         "--dbname={address}", str(source))  # fmt: skip
    try:
        return check(engine)
    except BaseException:
        _emptied(engine)
        raise


def _looked_at(place: Path, check: Callable[[Engine], T]) -> T:
    """What is found in a database that is not where it will lie; it is one file then, as before."""
    made = connect(URL.create("sqlite", database=str(place)))
    try:
        found = check(made)
    finally:
        made.dispose()
    _one_file(place)
    return found


def _drop_log(place: Path) -> None:
    for ending in ("-wal", "-shm"):
        place.with_name(place.name + ending).unlink(missing_ok=True)


def _emptied(engine: Engine) -> None:
    """Drop every table of a database that had none before."""
    with writing(engine) as connection:
        there = MetaData()
        there.reflect(connection)
        there.drop_all(connection)


def is_empty(engine: Engine) -> bool:
    """Whether a database has no table."""
    with reading(engine) as connection:
        return not inspect(connection).get_table_names()


def _of_sqlite(engine: Engine, target: Path) -> None:
    _made(target)
    source: Any = engine.raw_connection()
    try:
        with _writing(), closing(sqlite3.connect(target)) as copy:
            source.dbapi_connection.backup(copy)  # all pages in one step: a write-ahead log lets others write meanwhile
    finally:
        source.close()
    _one_file(target)


def _made(place: Path) -> None:
    """An empty file, for its owner alone from the first."""
    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _one_file(target: Path) -> None:
    """Leave the copy without a log beside it."""
    with _writing(), closing(sqlite3.connect(target)) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")
    sync(target)
    sync(target.parent)


@contextmanager
def _writing() -> Iterator[None]:
    """What SQLite raises by itself, as an error of ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise RecordsError(
            f"The copy of the tables cannot be written ({error.sqlite_errorname}); look at the disk and its free space."
        ) from error


def _run(engine: Engine, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; the password goes by the environment, which other accounts do not see."""
    found = shutil.which(program)
    if found is None:
        raise MissingPartError(f"PostgreSQL's program {program} is not here; install its client's package.")
    whole = engine.url
    bare = URL.create("postgresql", whole.username, None, whole.host, whole.port, whole.database, whole.query)
    address = bare.difference_update_query(["password"]).render_as_string()
    command = [found, "--no-password", *(one.replace("{address}", address) for one in arguments)]
    password = whole.password or whole.query.get("password")
    env = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode:
        start = f"{program}: error: "  # what it says beside its errors may be a row of a patient
        said = [line.removeprefix(start) for line in done.stderr.splitlines() if line.startswith(start)]
        raise RecordsError(f"{program} failed: {(said or [f'status {done.returncode}'])[0][:200]}")


def refuse_other_kind(engine: Engine, kind: str) -> None:
    """Raises UsageError where a copy is of another kind of database."""
    if engine.dialect.name != kind:
        raise UsageError(f"The backup is of {kind} and INSULA_DATABASE of {engine.dialect.name}; give one of its kind.")
