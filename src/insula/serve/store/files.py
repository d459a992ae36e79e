"""Files under the SHA-256 of their bytes, in a local folder or in an object store that fsspec knows (s3://…).

No name from outside is ever part of a path: a file's place follows from its hash alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Protocol

from insula.core import scratch
from insula.core.errors import MissingPartError, UsageError
from insula.core.synced import sync
from insula.serve import kept
from insula.serve.faults import RequestError
from insula.serve.store import elsewhere, write_back
from insula.serve.store.errors import ChangedFileError, MissingFileError, RecordsError

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_BLOCK: Final = 1 << 20
_WHOLE_PUTS: Final = ("s3", "s3a", "gs", "gcs", "abfs", "az")  # stores where an object is there whole or not at all
_REMOTE: Final = "://"
_GONE: Final = ".gone"


class Source(Protocol):
    """Bytes to be read in order."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many; none at the end."""


@dataclass(frozen=True)
class Stored:
    """What `put` stored: the SHA-256 (hexadecimal) and the length in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Found:
    """One file that lies in the store; changed: when it was put last."""

    sha256: str
    size: int
    changed: datetime


class Begun:
    """A file that is being written. size: its bytes so far; path: where they lie until then."""

    def __init__(self, files: Files, spool: IO[bytes], path: Path) -> None:
        self._files, self._spool, self.path = files, spool, path
        self._digest, self.size = hashlib.sha256(), 0

    def write(self, block: bytes | bytearray | memoryview) -> int:
        """Add bytes at the end; how many."""
        self._digest.update(block)
        written = self._spool.write(block)
        write_back.begin(self._spool.fileno(), self.size, written)
        self.size += written
        return written

    def flush(self) -> None:
        """Let what was written be seen at `path`."""
        self._spool.flush()

    def settle(self) -> Stored:
        """Store what was written: it is there whole, and on the disk, when this returns."""
        stored = Stored(self._digest.hexdigest(), self.size)
        self._files.settle(self._spool, self.path, stored.sha256)
        return stored


class Files:
    """A file store. `system` is fsspec's, `root` the folder or bucket within it."""

    def __init__(self, system: Any, root: str, local: bool) -> None:
        self._system = system
        self._root = root.rstrip("/")
        self._local = local
        self._lasting: set[Path] = set()  # folders that are on the disk for certain

    def put(self, stream: Source, most_bytes: int) -> Stored:
        """Store a stream's bytes; they are there whole or not at all, and on the disk when this returns.

        They are written under a temporary name first, then moved to that of their hash (in an object store: sent whole
        under it). The same bytes again are one file, put anew. Raises RequestError 413 as soon as the stream is longer
        than most_bytes, with nothing stored.
        """
        with self._spooled() as (spool, written):
            stored = _copy(stream, spool, most_bytes)
            self.settle(spool, written, stored.sha256)
        return stored

    @contextlib.contextmanager
    def begin(self) -> Iterator[Begun]:
        """A file that comes in pieces. It is stored by `settle`; nothing is left of one that the block ends before."""
        with self._spooled() as (spool, written):
            yield Begun(self, spool, written)

    def settle(self, spool: IO[bytes], written: Path, sha256: str) -> None:
        """Move a spooled file to the place of its hash; it is on the disk when this returns."""
        spool.flush()
        if self._local:
            os.fsync(spool.fileno())
        self._settle(written, self._place(sha256))

    def prepare(self) -> None:
        """Make the folders that files come to lie in, so that none has to wait until a new folder is on the disk."""
        if self._local:
            folders = [Path(self._root, f"{number:02x}") for number in range(256)]
            for folder in folders:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync(Path(self._root))
            self._lasting.update(folders)

    @property
    def folder(self) -> Path | None:
        """Where the files lie on this machine; None for a store elsewhere."""
        return Path(self._root) if self._local else None

    def free(self) -> int:
        """Bytes that may still be written: where the files lie, or where they are spooled on their way elsewhere."""
        return shutil.disk_usage(self._root if self._local else tempfile.gettempdir()).free

    def has(self, sha256: str) -> bool:
        """Whether a file of this hash is there; its bytes are not looked at."""
        place = self._place(sha256)
        if self._local:
            return bool(self._system.isfile(place))
        try:  # not by isfile, which says no where the store does not answer
            with elsewhere.told():
                return bool(self._system.info(place, refresh=True)["type"] == "file")
        except FileNotFoundError:
            return False

    def put_at(self, sha256: str) -> datetime | None:
        """When a file was put last; None where there is none."""
        place = self._place(sha256)
        try:
            with contextlib.nullcontext() if self._local else elsewhere.told():
                return _changed(self._system.info(place) if self._local else self._system.info(place, refresh=True))
        except FileNotFoundError:
            return None

    def drop_folders(self, but: Collection[Path]) -> None:
        """Remove folders of a store on this machine that hold nothing, but for these."""
        for folder in Path(self._root).iterdir() if self._local else ():
            if folder not in but and folder.is_dir():
                with contextlib.suppress(OSError):  # it holds something
                    folder.rmdir()
                    self._lasting.discard(folder)

    @contextlib.contextmanager
    def open(self, sha256: str) -> Iterator[IO[bytes]]:
        """The file's bytes as a stream, all of them verified before the first is given.

        Raises MissingFileError where there is none, ChangedFileError where the bytes are not those of the hash, OSError
        where the store does not give them.
        """
        with tempfile.SpooledTemporaryFile(max_size=16 << 20) as copy:
            self._verified(sha256, copy)
            copy.seek(0)
            yield copy

    def blocks(self, sha256: str) -> Iterator[bytes]:
        """The file's bytes in pieces of a megabyte, all of them verified when this returns. Raises as `open`."""
        found = self._blocks(sha256)
        return itertools.chain((next(found, b""),), found)  # an answer is begun only where its bytes are there

    def get(self, sha256: str) -> bytes:
        """The file's bytes, verified; for files that fit in memory. Raises as `open`."""
        with self.open(sha256) as stream:
            return stream.read()

    def fetch(self, sha256: str, target: Path) -> None:
        """Copy the file to a new path, verified; nothing is left there on an error. Raises as `open`."""
        with target.open("xb") as copy:
            try:
                self._verified(sha256, copy)
            except BaseException:
                target.unlink()
                raise

    def delete(self, sha256: str, unless_put_since: datetime | None = None) -> bool:
        """Delete a file; whether there was one. unless_put_since: leave one that was put at or after this instant.

        What this process has in memory of a deleted file is forgotten.
        """
        there = self._deleted(sha256, unless_put_since)
        if there:
            kept.forget((sha256,))
        return there

    def _deleted(self, sha256: str, unless_put_since: datetime | None) -> bool:
        place = self._place(sha256)
        if self._local:
            return _delete_local(Path(place), unless_put_since)
        try:
            with elsewhere.told():
                facts = self._system.info(place, refresh=True)
                if unless_put_since is not None and _changed(facts) >= unless_put_since:
                    return False
                self._system.rm_file(place)
        except FileNotFoundError:
            return False
        self._system.invalidate_cache()
        return True

    def all(self) -> Iterator[Found]:
        """Every file of the store, in no order."""
        self._system.invalidate_cache()
        walk = iter(self._system.walk(self._root, detail=True, on_error="raise"))
        while True:
            try:
                with contextlib.nullcontext() if self._local else elsewhere.told():
                    listed = next(walk, None)
            except FileNotFoundError:  # nothing was ever put, or a folder was removed meanwhile
                return
            if listed is None:
                return
            for name, facts in listed[2].items():
                if _SHA256.fullmatch(name):
                    yield Found(name, int(facts["size"]), _changed(facts))

    def clear_unfinished(self, before: datetime) -> int:
        """Delete what puts left that were killed before this instant; how many files."""
        if not self._local:
            return 0
        gone = 0
        for path in (*Path(self._root).glob("unfinished/insula-*"), *Path(self._root).glob(f"*/*{_GONE}")):
            with contextlib.suppress(FileNotFoundError):  # its put ended just now
                if datetime.fromtimestamp(path.stat().st_ctime, UTC) < before:
                    path.unlink()
                    gone += 1
        return gone

    def _blocks(self, sha256: str) -> Iterator[bytes]:
        with self.open(sha256) as stream:
            while block := stream.read(_BLOCK):
                yield block

    @contextlib.contextmanager
    def _spooled(self) -> Iterator[tuple[IO[bytes], Path]]:
        folder = None if self._local else scratch.home()
        if self._local:  # on the same disk, so that moving is renaming
            folder = Path(self._root, "unfinished")
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="insula-", dir=folder)
        spool = os.fdopen(handle, "wb")
        try:
            yield spool, Path(name)
        finally:
            with contextlib.suppress(OSError):  # what a full disk did not take is given up; `settle` has flushed
                spool.close()
            Path(name).unlink(missing_ok=True)

    def _settle(self, written: Path, place: str) -> None:
        if not self._local:
            with elsewhere.there():
                self._system.put_file(str(written), place)
                self._system.invalidate_cache()
                if self._system.info(place, refresh=True)["size"] != written.stat().st_size:
                    raise OSError("it keeps another length")
            return
        folder = Path(place).parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        written.replace(place)
        sync(folder)
        if folder not in self._lasting:  # whoever made it may not have come to this yet
            sync(folder.parent)
            self._lasting.add(folder)

    def _verified(self, sha256: str, target: IO[bytes]) -> None:
        try:
            with self._reading(self._place(sha256)) as stream:
                found = _copy(stream, target)
        except FileNotFoundError as error:
            raise MissingFileError(
                f"The file store has no file {sha256[:12]}…, which the records name; restore it from a backup."
            ) from error
        if found.sha256 != sha256:
            raise ChangedFileError(
                f"The file {sha256[:12]}… holds other bytes (SHA-256 {found.sha256[:12]}…) than were stored; "
                "restore it from a backup, or send it again."
            )

    @contextlib.contextmanager
    def _reading(self, place: str) -> Iterator[Source]:
        if self._local:
            with self._system.open(place, "rb") as stream:
                yield stream
            return
        with elsewhere.told():
            stream = self._system.open(place)
        yield elsewhere.Told(stream)

    def _place(self, sha256: str) -> str:
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256[:80]!r} is no SHA-256 in small hexadecimal digits")
        return f"{self._root}/{sha256[:2]}/{sha256}"


def open_files(address: str) -> Files:
    """The file store at a path or an address (`s3://BUCKET/FOLDER`); a local folder is made, for its owner alone.

    Raises UsageError for a kind of store in which files could be seen half written, MissingPartError where the package
    of that store is not installed, RecordsError where it cannot be reached. Keys come from the environment, as the
    store's own package reads them.
    """
    kind, _, _ = address.partition(_REMOTE) if _REMOTE in address else ("file", "", "")
    if not address or (kind not in _WHOLE_PUTS and kind != "file"):
        raise UsageError(f"INSULA_FILES is '{kind if address else ''}'; give a local folder, or s3://BUCKET/FOLDER.")
    if kind == "file":
        from fsspec.core import url_to_fs

        root = Path(address.removeprefix("file://")).absolute()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Files(url_to_fs(str(root))[0], str(root), local=True)
    try:
        system, root_there = elsewhere.opened(address)
        system.exists(root_there)
    except ImportError as error:
        raise MissingPartError(
            f"Files at {kind}:// need a part that is not installed; run: pip install 'insula[s3]', or the package of "
            "that store for fsspec."
        ) from error
    except Exception as error:  # every store has exceptions of its own
        raise RecordsError(
            f"INSULA_FILES ({kind}://) cannot be reached ({type(error).__name__}); check the address and the rights."
        ) from error
    return Files(system, root_there, local=False)


def _copy(stream: Source, target: IO[bytes], most_bytes: int | None = None) -> Stored:
    digest, size = hashlib.sha256(), 0
    while block := stream.read(_BLOCK if most_bytes is None else min(_BLOCK, most_bytes + 1 - size)):
        size += len(block)
        if most_bytes is not None and size > most_bytes:
            raise RequestError(
                413, "too_large", f"The file is longer than {most_bytes} bytes; send a smaller one, or in parts."
            )
        digest.update(block)
        target.write(block)
    return Stored(digest.hexdigest(), size)


def _changed(facts: dict[str, Any]) -> datetime:
    value = facts.get("LastModified") or facts.get("updated") or facts.get("last_modified") or facts.get("mtime")
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise RecordsError("The file store does not say when a file was put; use a local folder, or s3://….")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _delete_local(place: Path, unless_put_since: datetime | None) -> bool:
    # taken away under another name first: a put in between makes the file anew and is not undone
    taken = place.with_name(f"{uuid.uuid4().hex}{_GONE}")
    try:
        place.rename(taken)
    except FileNotFoundError:
        return False
    if unless_put_since is not None and datetime.fromtimestamp(taken.stat().st_mtime, UTC) >= unless_put_since:
        taken.replace(place)
        return False
    taken.unlink()
    sync(place.parent)
    return True
