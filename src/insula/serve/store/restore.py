"""Records and files made anew from a backup, every byte of which is verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from insula.core.errors import InsulaError, TrailError, UsageError
from insula.serve.store import backup_kept, migrate, sound
from insula.serve.store.backup import checked_tables
from insula.serve.store.backup_kept import Backup, hash_of, place_of
from insula.serve.store.connect import reading, writing
from insula.serve.store.copied import is_empty, put_back, refuse_other_kind
from insula.serve.store.errors import RecordsError
from insula.serve.store.files import Files
from insula.serve.trail.append import append
from insula.serve.trail.chain import follow
from insula.serve.trail.keys import entry_key, public_key
from insula.serve.trail.places import read_heads
from insula.serve.trail.rows import stream

Say = Callable[[int, int], None]


@dataclass(frozen=True)
class Restored:
    """What was made anew. heads: signed for entries of the backup; later: highest entry that a head was signed for
    after the backup was made, 0 for none: the entries up to it are not in these records.
    """

    backup: Backup
    heads: int
    later: int


class _Written:
    """What a restore put into a store that was not there before, so that it can be taken away again."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._folders = frozenset(files.folder.iterdir()) if files.folder else frozenset()
        self._put: dict[str, datetime | None] = {}

    def put(self, path: Path, sha256: str, size: int) -> None:
        """Put one file of a backup into the store."""
        if self._files.put_at(sha256) is None:
            self._put[sha256] = None
        _put(self._files, path, sha256, size)
        if sha256 in self._put:
            self._put[sha256] = self._files.put_at(sha256)

    def take_away(self, engine: Engine) -> str:
        """Delete it, but for what somebody else put meanwhile, and say what is left.

        Where tables are in the database after all, or it does not answer, their files stay.
        """
        try:
            if self._put and not is_empty(engine):
                return f"The database has tables now, so the {len(self._put)} files that were put stay in the store."
        except SQLAlchemyError:
            return f"The database does not answer, so the {len(self._put)} files that were put stay in the store."
        left = 0
        for sha256, at in self._put.items():
            try:  # a file that was put later is of somebody else
                self._files.delete(sha256, None if at is None else at + timedelta(microseconds=1))
            except (OSError, InsulaError):
                left += 1
        with suppress(OSError):
            self._files.drop_folders(self._folders)
        if left:
            return f"{left} files that were put could not be deleted again: look at the file store."
        return "Nothing was restored, and nothing of it is left."


def restore(
    engine: Engine,
    files: Files,
    folder: Path,
    key: bytes,
    actor: str,
    heads: str = "",
    say: Say = lambda done, of: None,
) -> Restored:
    """Put a backup's files into the store and its tables into an empty database, and tell the trail of it.

    The tables come last, so that a restore that was killed can be done again. heads: where the trail's are kept. Raises
    UsageError for a database that has tables or is of another kind, RecordsError for a backup of which a byte is not as
    it was made, and TrailError for a trail that does not hold; after these and any other error the database is as empty
    as it was, and the files that were put are taken away again, not those that were in the store before.
    """
    written = _Written(files)
    try:
        return _restored(engine, written, folder, key, actor, heads, say)
    except BaseException as error:
        said = written.take_away(engine)
        if isinstance(error, InsulaError):
            error.args = (f"{error} {said}",)
        raise


def _restored(
    engine: Engine, written: _Written, folder: Path, key: bytes, actor: str, heads: str, say: Say
) -> Restored:
    backup = backup_kept.read(folder, key)
    refuse_other_kind(engine, backup.database)
    if not migrate.knows(backup.migration):
        raise RecordsError(
            f"The backup is of migration {backup.migration}, which this program does not know; take a newer one."
        )
    if not is_empty(engine):
        raise UsageError("The database of INSULA_DATABASE has tables already; name an empty one, or a new file.")
    if not (folder / backup.copy).is_file() or hash_of(folder / backup.copy)[0] != backup.records:
        raise RecordsError(f"{backup.copy} is not as it was when the backup was made; give another backup.")
    for number, (sha256, size) in enumerate(sorted(backup.files.items()), start=1):
        written.put(place_of(folder, sha256), sha256, size)
        say(number, len(backup.files))

    def checked(made: Engine) -> tuple[int, int]:
        found = _checked(made, backup, key, heads)
        with writing(made) as connection:  # before the tables come to their place: there is no going back after it
            detail = {"made_at": backup.made_at, "entries": backup.entries, "lacking": len(backup.lacking)}
            append(connection, key, actor=actor, action="records.restore", detail=detail)
        return found

    kept, later = put_back(engine, folder / backup.copy, checked)
    return Restored(backup, kept, later)


def _put(files: Files, path: Path, sha256: str, size: int) -> None:
    try:
        found = hash_of(path)
    except FileNotFoundError as error:
        raise RecordsError(f"The backup has no file {sha256[:12]}…, which its list names; give another.") from error
    if found != (sha256, size):
        raise RecordsError(f"The backup's file {sha256[:12]}… is not as it was when it was made; give another backup.")
    with path.open("rb") as stream_in:
        stored = files.put(stream_in, size)
    if stored.sha256 != sha256:
        raise RecordsError(f"The backup's file {sha256[:12]}… changed while it was read; start again.")


def _checked(engine: Engine, backup: Backup, key: bytes, heads: str) -> tuple[int, int]:
    """Hold tables that were made anew against the backup's list and the heads; see `_heads` for what is told."""
    with reading(engine) as connection:
        rows, mark = checked_tables(connection, key)
        unlisted = sound.named(connection) - backup.files.keys() - set(backup.lacking)
    _same("rows", rows, backup.rows)
    _same("the trail's end", {"entry": mark.seq, mark.digest: 1}, {"entry": backup.entries, backup.digest: 1})
    if unlisted:
        raise RecordsError(f"The tables name {len(unlisted)} files that the backup does not list; give another backup.")
    return _heads(engine, backup, key, heads)


def _same(what: str, found: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    if dict(found) != dict(wanted):
        raise RecordsError(f"The restored tables differ from the backup's list in {what}; give another backup.")


def _heads(engine: Engine, backup: Backup, key: bytes, place: str) -> tuple[int, int]:
    """Hold the restored trail against the heads that were signed for its entries."""
    if not place:
        return 0, 0
    signed = read_heads(place, public_key(key)).signed
    own = {seq: digests for seq, digests in signed.items() if seq <= backup.entries}
    with reading(engine) as connection, closing(stream(connection)) as entries:
        _, fault = follow(entries, entry_key(key), own)
    if fault is not None:
        raise TrailError(f"The backup's trail does not hold: {fault.said} Give another backup.")
    return len(own), max((seq for seq in signed if seq > backup.entries), default=0)
