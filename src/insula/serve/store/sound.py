"""Whether records and files are sound: pages, rows that point at rows, the bytes of every file that a record names."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, inspect, select, text, union
from sqlalchemy.exc import DatabaseError, DBAPIError

from insula.serve import trouble
from insula.serve.store import schema
from insula.serve.store.connect import reading
from insula.serve.store.errors import ChangedFileError, MissingFileError, RecordsError
from insula.serve.store.files import Files
from insula.serve.store.in_use import NAMING, of_jobs

_MOST = 20  # faults that are named; of more only their number is of interest


@dataclass(frozen=True)
class Sound:
    """What was found. rows: that were read, files: that were read; faults: what is wrong, each in a few words."""

    rows: int
    files: int
    faults: tuple[str, ...]


def look(engine: Engine, files: Files | None) -> Sound:
    """Read all records and, where a store is given, every file that they name; nothing is changed."""
    faults: list[str] = []
    rows = 0
    try:
        with reading(engine) as connection:
            faults += damage(connection)
            if not faults:
                rows = sum(counts(connection).values())
            names = sorted(named(connection)) if files is not None and not faults else []
    except (DatabaseError, RecordsError) as error:
        return Sound(rows, 0, (*faults, _unreadable(error)))
    bad = {name: fault for name in names if files is not None and (fault := bad_file(files, name))}
    still = _still_named(engine, faults) if bad else set()
    faults += [fault for name, fault in bad.items() if name in still]
    return Sound(rows, len(names) - len(bad), tuple(faults))


def _still_named(engine: Engine, faults: list[str]) -> set[str]:
    """The files that are named after all were read: somebody may have erased studies meanwhile."""
    try:
        with reading(engine) as connection:
            return named(connection)
    except DatabaseError as error:
        faults.append(_unreadable(error))
        return set()


def damage(connection: Connection) -> list[str]:
    """What is wrong with the database itself: SQLite's pages and indexes, rows that point at nothing."""
    if connection.dialect.name != "sqlite":
        return []
    said = [str(one) for one in connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST})").scalars()]
    found = [] if said == ["ok"] else [f"the database is damaged: {one[:120]}" for one in said]
    if not found:
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        found = [f"a row of '{row[0]}' points at nothing in '{row[2]}'" for row in broken[:_MOST]]
    return found


def counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has; all of every row is read, by which PostgreSQL finds pages whose sums are wrong."""
    there = set(inspect(connection).get_table_names())
    return {name: _rows(connection, name) for name in sorted(schema.metadata.tables) if name in there}


def _rows(connection: Connection, table: str) -> int:
    statement = text(f'SELECT * FROM "{table}"')  # noqa: S608 - names of our own tables
    with connection.execute(statement, execution_options={"yield_per": 1000}) as found:
        return sum(1 for _ in found)


def named(connection: Connection) -> set[str]:
    """The hashes of all files that must be there: those of studies, artefacts, received and made objects."""
    there = set(inspect(connection).get_table_names())
    return set(connection.scalars(union(*(select(table.c.sha256) for table in NAMING if table.name in there))))


def also_named(connection: Connection) -> set[str]:
    """Hashes in the JSON of jobs, which may be those of files."""
    return of_jobs(connection)


def bad_file(files: Files, sha256: str) -> str:
    """What is wrong with a stored file, "" for nothing."""
    try:
        with files.open(sha256):
            return ""
    except MissingFileError:
        return f"the file {sha256[:12]}… is missing"
    except ChangedFileError:
        return f"the file {sha256[:12]}… holds other bytes than were stored"
    except OSError as error:
        return f"the file {sha256[:12]}… cannot be read ({error.strerror})"


def _unreadable(error: Exception) -> str:
    met = trouble.of(error)
    if met is not None and met.fault_code == "records_damaged":
        return "the database is damaged: a page of its tables cannot be read"
    kind = type(error.orig).__name__ if isinstance(error, DBAPIError) else type(error).__name__
    return f"the records cannot be read ({kind})"
