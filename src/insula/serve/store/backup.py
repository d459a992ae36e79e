"""A backup of records and files, made while the service runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine

from insula import __version__
from insula.core.errors import TrailError, UsageError
from insula.core.synced import sync
from insula.serve.store import backup_kept, sound
from insula.serve.store.backup_kept import COPIES, FILES, Backup, place_of
from insula.serve.store.connect import reading
from insula.serve.store.copied import copied
from insula.serve.store.errors import ChangedFileError, MissingFileError, RecordsError
from insula.serve.store.files import Files
from insula.serve.trail.chain import follow
from insula.serve.trail.entries import Mark
from insula.serve.trail.keys import entry_key
from insula.serve.trail.rows import stream

Say = Callable[[int, int], None]
_ROUNDS: Final = 12  # copies of the tables that are made before files that were deleted meanwhile are taken for lost


@dataclass(frozen=True)
class _View:
    """What one copy of the tables says. must, may: hashes that are of files, and that may be."""

    backup: Backup
    must: frozenset[str]
    may: frozenset[str]


def make(engine: Engine, files: Files, folder: Path, key: bytes, say: Say = lambda done, of: None) -> Backup:
    """Back up to a new folder, of this account alone. say: told how many files are copied, of how many.

    The tables are copied first, as they are at one moment, then the files that they name: these are stored before they
    are named, so each is there unless it was deleted meanwhile; then the tables are copied again. Files that the store
    has not, or not whole, are listed as lacking. Raises UsageError for a folder that is there, RecordsError for records
    that are damaged, TrailError for a trail that does not hold; nothing is left then, as after any other error.
    """
    if folder.exists():
        raise UsageError(f"'{folder.name}' exists already; give the name of a new folder.")
    folder.mkdir(mode=0o700, parents=True)
    try:
        view = _tables(engine, folder, key)
        for number in range(1, _ROUNDS + 1):
            sizes, lacking = _files(files, folder, view, say)
            if not lacking or number == _ROUNDS or not _deleted_meanwhile(engine, lacking):
                break
            (folder / view.backup.copy).unlink()
            view = _tables(engine, folder, key)
        _drop_others(folder, sizes)
        made = replace(view.backup, files=sizes, lacking=tuple(sorted(lacking)))
        for path in (folder / FILES, *sorted((folder / FILES).iterdir())):
            sync(path)
        backup_kept.write(folder, made, key)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return made


def checked_tables(connection: Connection, key: bytes) -> tuple[dict[str, int], Mark]:
    """Rows by table, and the trail's end. Raises RecordsError for damaged records, TrailError for a broken trail."""
    faults = sound.damage(connection)
    if faults:
        raise RecordsError(f"The records are damaged ({faults[0]}); restore an earlier backup.")
    rows = sound.counts(connection)
    with closing(stream(connection)) as entries:
        mark, fault = follow(entries, entry_key(key), {})
    if fault is not None:
        raise TrailError(f"The trail does not hold: {fault.said} Run: insula audit-trail verify.")
    return rows, mark


def _tables(engine: Engine, folder: Path, key: bytes) -> _View:
    kind = engine.dialect.name
    target = folder / COPIES[kind]
    at = datetime.now(UTC).isoformat()
    with copied(engine, target) as connection:
        rows, mark = checked_tables(connection, key)
        (migration,) = MigrationContext.configure(connection).get_current_heads()
        must, may = sound.named(connection), sound.also_named(connection)
    records, _ = backup_kept.hash_of(target)
    made = Backup(at, __version__, kind, migration, records, rows, mark.seq, mark.digest, {})
    return _View(made, frozenset(must), frozenset(may - must))


def _files(files: Files, folder: Path, view: _View, say: Say) -> tuple[dict[str, int], set[str]]:
    """Copy what is not there yet; lengths by hash, and the hashes of those that are lacking."""
    sizes: dict[str, int] = {}
    lacking: set[str] = set()
    wanted = sorted(view.must) + sorted(view.may)
    for number, sha256 in enumerate(wanted, start=1):
        place = place_of(folder, sha256)
        try:
            if not place.exists():
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.fetch(sha256, place)
                place.chmod(0o600)
                sync(place)
            sizes[sha256] = place.stat().st_size
        except (MissingFileError, ChangedFileError):
            if sha256 in view.must:
                lacking.add(sha256)
        say(number, len(wanted))
    (folder / FILES).mkdir(mode=0o700, exist_ok=True)
    return sizes, lacking


def _deleted_meanwhile(engine: Engine, lacking: set[str]) -> bool:
    """Whether the records do not name one of these files any more."""
    with reading(engine) as connection:
        return not lacking <= sound.named(connection)


def _drop_others(folder: Path, sizes: dict[str, int]) -> None:
    """Delete files that only an earlier copy of the tables named: somebody erased them meanwhile."""
    for path in (folder / FILES).glob("*/*"):
        if path.name not in sizes:
            path.unlink()
    for path in (folder / FILES).iterdir():
        if not any(path.iterdir()):
            path.rmdir()
