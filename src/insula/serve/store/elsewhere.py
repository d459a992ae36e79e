"""Object stores, as fsspec opens them: how long one is waited for, and what it raises, as trouble of a disk.

Every store has exceptions of its own, and some of fsspec's questions answer "no" where a store does not answer at all.
Here each of them becomes an OSError, as that of a disk which refuses, so that whoever stores or reads meets one kind.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from insula.core.errors import InsulaError
from insula.core.log import get

_S3: Final = ("s3", "s3a")
# each of two rounds asks twice, and waits at most 5 s for a connection and 15 s for the next bytes: a minute, not six
_ROUNDS: Final = 2
_CONFIG: Final = {"retries": {"mode": "standard", "total_max_attempts": 2}, "connect_timeout": 5, "read_timeout": 15}
# seconds for a question, all rounds together: a byte now and then, each in time, would hold it for ever
_LONGEST: Final = 90.0
_SLOWEST: Final = 64 << 10  # bytes a second that sending a file has to make beyond that
_BLOCK: Final = 8 << 20  # bytes that are read by one question
_ASKS: Final = frozenset({"cat_file", "exists", "find", "info", "isfile", "ls", "pipe_file", "rm_file"})


def opened(address: str) -> tuple[Bounded, str]:
    """The file system (of fsspec) of an address, and the place in it; it is not waited for without end."""
    from fsspec.core import url_to_fs

    if address.partition("://")[0] not in _S3:
        system, root = url_to_fs(address)
        return Bounded(system), str(root)
    system, root = url_to_fs(address, config_kwargs=_CONFIG)
    system.retries = _ROUNDS
    return Bounded(system), str(root)


class Bounded:
    """A file system of fsspec that is given up after a time, also where it answers a byte at a time.

    Those that are not asynchronous, as one in memory, are asked as they are: they have no line that could be slow.
    """

    def __init__(self, system: Any) -> None:
        self._system = system
        self._waits = bool(getattr(system, "async_impl", False))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._system, name)
        return partial(found, timeout=_LONGEST) if self._waits and name in _ASKS else found

    def put_file(self, source: str, place: str) -> None:
        """Send a file; it has time by its length."""
        bound = {"timeout": _LONGEST + Path(source).stat().st_size / _SLOWEST} if self._waits else {}
        self._system.put_file(source, place, **bound)

    def walk(self, place: str, **options: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Folders below a place, each with the names in it and what is known of its files; a question for each.

        options: as fsspec's, of which an asynchronous system takes none. Raises FileNotFoundError for an empty store.
        """
        return self._folders(place) if self._waits else self._system.walk(place, **options)

    def _folders(self, place: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        here = {str(one["name"]).rstrip("/"): one for one in self.ls(place, detail=True)}
        folders = [name for name, one in here.items() if one["type"] == "directory" and name != place]
        yield place, folders, {n.rpartition("/")[2]: one for n, one in here.items() if one["type"] == "file"}
        for folder in folders:
            yield from self._folders(folder)

    def open(self, place: str) -> Blocks:
        """A stream of an object's bytes. Raises FileNotFoundError where there is none."""
        return Blocks(self, place, int(self.info(place, refresh=True)["size"]))


class Blocks:
    """An object's bytes in order, a block by a question, so that no question takes for ever."""

    def __init__(self, system: Bounded, place: str, size: int) -> None:
        self._system, self._place, self._size = system, place, size
        self._at, self._held = 0, b""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many; none at the end."""
        if not self._held and self._at < self._size:
            end = min(self._at + _BLOCK, self._size)
            self._held = bytes(self._system.cat_file(self._place, start=self._at, end=end))
            self._at = end
        found, self._held = self._held[:size], self._held[size:]
        return found


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What a store raises, as OSError (EIO) without the store's words; our own errors and FileNotFoundError pass."""
    try:
        yield
    except (FileNotFoundError, InsulaError):
        raise
    except Exception as error:
        kind = type(error).__name__
        get("files").warning("the store of files fails", error=kind)
        raise OSError(errno.EIO, f"the store of files does not do as asked: {kind}") from error


@contextlib.contextmanager
def there() -> Iterator[None]:
    """As `told`, for what needs no file to be there: a bucket that is gone is trouble like any other."""
    with told():
        try:
            yield
        except FileNotFoundError as error:
            raise OSError(errno.EIO, "the bucket is gone") from error


class Told:
    """A stream of a store, whose errors are those of `told`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        with told():
            return bytes(self._stream.read(size))
