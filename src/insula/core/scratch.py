"""Temporary folders that do not outlive their process by much, even where it is killed.

Scans are put down for their readers, and a process that is killed (SIGKILL, no memory left) leaves them. So each
process has one home of its own among the system's temporary files, whose lock the kernel gives up with the process:
the next process that makes its home removes those that nobody holds.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import glob
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PREFIX: Final = "insula-of-"
_lock = threading.Lock()
_homes: dict[tuple[int, str], tuple[Path, int]] = {}


@contextlib.contextmanager
def folder(place: Path | None = None) -> Iterator[Path]:
    """A folder for its owner alone, removed when the block ends. place: below which, the system's own by default."""
    made = new(place)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def new(place: Path | None = None) -> Path:
    """A folder as that of `folder`, which the caller removes, or else the end of the process."""
    try:
        return Path(tempfile.mkdtemp(dir=home(place)))
    except FileNotFoundError:  # somebody cleans temporary files by their age
        return Path(tempfile.mkdtemp(dir=home(place, anew=True)))


@contextlib.contextmanager
def beside(goal: Path) -> Iterator[Path]:
    """A folder beside a goal, to be filled and renamed to it; those that killed processes left there are removed."""
    begins, ends = f".{goal.name}.", ".new"
    tidy(goal.parent, f"{glob.escape(begins)}*{ends}")
    made, handle = _made(str(goal.parent), begins, ends)
    try:
        made.chmod(0o755)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(handle)


def home(place: Path | None = None, anew: bool = False) -> Path:
    """The folder of this process below a place; made, and those of dead ones removed, when it is first asked for."""
    where = str(place or tempfile.gettempdir())
    key = (os.getpid(), where)  # a fork has a home of its own
    with _lock:
        if key not in _homes or (anew and not _homes[key][0].is_dir()):  # another thread may have made it
            tidy(Path(where))
            _homes[key] = _made(where)
            atexit.register(_leave, key)
        return _homes[key][0]


def tidy(place: Path, pattern: str = f"{PREFIX}*") -> int:
    """Remove the homes, or other folders that are held in this way, of processes that are gone; how many."""
    gone = 0
    for path in place.glob(pattern):
        handle = _held(path)
        if handle is None:
            continue
        try:
            shutil.rmtree(path, ignore_errors=True)
            gone += not path.exists()
        finally:
            os.close(handle)
    return gone


def _made(where: str, begins: str = PREFIX, ends: str = "") -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=begins, suffix=ends, dir=where))
        with contextlib.suppress(FileNotFoundError):  # taken for a dead one's before it was locked
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            with contextlib.suppress(OSError):  # where a file system has no locks, and nobody removes it then
                fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists():
                return path, handle
            os.close(handle)


def _held(path: Path) -> int | None:
    """The lock on a home that nobody else holds, as a descriptor; None where it is another user's, or in use."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    facts = os.fstat(handle)
    if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid():
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
    os.close(handle)
    return None


def _leave(key: tuple[int, str]) -> None:
    if key[0] == os.getpid() and key in _homes:
        path, handle = _homes.pop(key)
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)
