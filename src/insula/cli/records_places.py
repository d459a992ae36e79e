"""Where the verbs of `insula records` find what they work on: the settings, the database, the file store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
