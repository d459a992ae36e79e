"""Where the verbs of `insula records` find what they work on: the settings, the database, the file store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from insula.serve.settings import Settings
    from insula.serve.store.files import Files

_WHY = {
    "no_space": "The disk of the database is full; make room and run this again.",
    "records_busy": "The database is busy with others' work; run this again.",
    "records_damaged": "The records are damaged; run insula records check --whole, then restore a backup.",
}


def settings_here() -> Settings:
    """The settings, with a database. Raises UsageError where none is named."""
    from insula.core.errors import UsageError
    from insula.serve.settings import read_settings

    settings = read_settings()
    if not settings.database:
        raise UsageError("No database is named; set INSULA_DATABASE to its address.")
    return settings


def files_of(settings: Settings) -> Files:
    """The file store of the settings. Raises UsageError where none is named."""
    from insula.core.errors import UsageError
    from insula.serve.store.files import open_files

    if not settings.files:
        raise UsageError("No place for files is named; set INSULA_FILES to a folder, or s3://BUCKET/FOLDER.")
    return open_files(settings.files)


@contextmanager
def records_of(settings: Settings) -> Iterator[Engine]:
    """The records, of whatever migration.

    Raises UsageError where they do not answer, RecordsError for a full disk, a lock or damage.
    """
    from sqlalchemy.exc import DBAPIError, OperationalError

    from insula.core.errors import UsageError
    from insula.serve import trouble
    from insula.serve.store.connect import connect
    from insula.serve.store.errors import RecordsError

    engine = connect(settings.database)
    try:
        yield engine
    except DBAPIError as error:  # its text may repeat the address
        met = trouble.of(error)
        if met is None and not isinstance(error, OperationalError):
            raise
        if met is None or met.fault_code not in _WHY:
            raise UsageError(
                "The database of INSULA_DATABASE does not answer; check its address and whether it runs."
            ) from error
        raise RecordsError(_WHY[met.fault_code]) from error
    finally:
        engine.dispose()


@contextmanager
def places_as_before(settings: Settings) -> Iterator[None]:
    """Take away what opening the places of records and files makes, where the block ends in an error.

    That is folders that hold nothing, and SQLite's file as long as it has no table.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    files = settings.files.removeprefix("file://")
    places: list[Path] = [] if "://" in files else [Path(files).absolute()]
    database = None
    with suppress(ArgumentError):  # told where it is opened
        found = make_url(settings.database)
        if found.get_backend_name() == "sqlite" and found.database:
            database = Path(found.database).absolute()
            places.append(database.parent)
    folders = {one for place in places for one in (place, *place.parents) if not one.exists()}
    file_is_new = database is not None and not database.exists()
    try:
        yield
    except BaseException:
        if database is not None and file_is_new and _has_no_table(database):
            for ending in ("", "-wal", "-shm"):
                database.with_name(database.name + ending).unlink(missing_ok=True)
        for folder in sorted(folders, key=lambda one: len(one.parts), reverse=True):
            with suppress(OSError):  # it holds something, or was never made
                folder.rmdir()
        raise


def _has_no_table(place: Path) -> bool:
    import sqlite3

    try:
        with closing(sqlite3.connect(place)) as connection:
            return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
    except sqlite3.Error:
        return False
