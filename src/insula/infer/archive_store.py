"""An archive on a shared disk or in a store that fsspec knows (s3://…): its directories, and their files at hand."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from insula.core import scratch
from insula.core.errors import InsulaError, MissingPartError, ScanError
from insula.scans.limits import LIMITS

_REMOTE = "://"


@dataclass(frozen=True)
class Directory:
    """One directory, relative to the archive ("." for itself), and its visible files in order."""

    place: str
    names: tuple[str, ...]


def is_remote(archive: str) -> bool:
    """Whether an archive is an address and no path."""
    return _REMOTE in archive


def directories(archive: str) -> Iterator[Directory]:
    """The directories that hold files, in the order of their names, each before those below it.

    Raises ScanError for an archive that is not there, or whose store cannot be reached.
    """
    if not is_remote(archive):
        from insula.infer.batch_items import walk

        for at, _, found in walk(Path(archive)):
            if found:
                yield Directory(at.relative_to(archive).as_posix(), tuple(found))
        return
    with _told(archive):
        store, root = _opened(archive)
        store.invalidate_cache()  # a store lives as long as its process, and so would an old listing
        for place, folders, files in _walked(store, root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            names = tuple(sorted(name for name in files if name and not name.startswith(".")))
            if names:
                yield Directory(PurePosixPath(place).relative_to(PurePosixPath(root)).as_posix(), names)


@contextlib.contextmanager
def at_hand(archive: str, names: Iterable[str]) -> Iterator[Path]:
    """A folder under which these files (relative to the archive) lie: the archive itself, or a copy for this while.

    A copy has the sizes and times of change of the files themselves. Files larger than one scan may be are not fetched;
    they are there as files of no bytes, which no reader takes. Raises ScanError for one that cannot be fetched.
    """
    if not is_remote(archive):
        yield Path(archive)
        return
    with _told(archive):
        store, root = _opened(archive)
    with scratch.folder() as folder:
        for name in names:
            target = _inside(Path(folder), name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with _told(archive):
                _fetch(store, f"{root.rstrip('/')}/{name}", target)
        yield Path(folder)


def _opened(archive: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    found: tuple[Any, str] = url_to_fs(archive)
    return found


def _fetch(store: Any, source: str, target: Path) -> None:
    facts = store.info(source)
    if int(facts.get("size") or 0) > LIMITS.max_bytes:
        target.touch()
    else:
        store.get_file(source, str(target))
    when = store.modified(source).timestamp()
    os.utime(target, (when, when))


def _inside(folder: Path, name: str) -> Path:
    """The place of a name below a folder; ScanError for a name that would lead out of it."""
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\0" in name:
        raise ScanError(f"'{parts.name}' is a name that leads out of the archive; rename it in its store.")
    return folder / parts


def _walked(store: Any, root: str) -> Any:
    if not store.isdir(root):
        raise FileNotFoundError(root)
    return store.walk(root)


@contextlib.contextmanager
def _told(archive: str) -> Iterator[None]:
    """What a store raises, as our own error; its address without what may be a key."""
    try:
        yield
    except InsulaError:
        raise
    except ImportError as error:
        raise MissingPartError(
            f"Reading {archive.split(_REMOTE)[0]}{_REMOTE} needs a part that is not installed ({error.name or error}); "
            "run: pip install 'insula[s3]', or the package of that store for fsspec."
        ) from error
    except Exception as error:  # every store has exceptions of its own
        where = archive.split("?")[0]
        raise ScanError(
            f"'{where}' cannot be read ({type(error).__name__}); check the address and the rights of this account."
        ) from error
