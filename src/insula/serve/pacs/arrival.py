"""An object on its way in: its bytes go to the disk as they come, and nothing is left of it unless it is finished."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from insula.serve.pacs import file_meta, heads
from insula.serve.pacs.entered import (
    CANNOT_UNDERSTAND,
    NO_RESOURCES,
    NOT_ITS_CLASS,
    NoRoomError,
    RefusedInstanceError,
)
from insula.serve.pacs.heads import Head, HeadError, ShortHeadError
from insula.serve.store.files import Begun, Files, Stored

_MOST_IN_MEMORY: Final = 1 << 30  # bytes of all objects that are kept off the disk at a time, or one that is longer
_FIRST: Final = 1 << 16  # bytes of a data set in which nearly always all attributes stand


class Arrival:
    """One object. size: bytes of its data set so far."""

    def __init__(self, begun: Begun | None, class_uid: str, instance_uid: str, syntax: str, most_bytes: int) -> None:
        self._begun, self._most = begun, most_bytes
        self._names = (class_uid, instance_uid)
        self._syntax, self.size = syntax, 0
        self._first = bytearray()
        self._meta = file_meta.written(class_uid, instance_uid, syntax)
        self._whole = InMemory(most_bytes + len(self._meta))
        self._to = self._whole if begun is None else begun
        self._to.write(self._meta)

    def write(self, part: bytes | bytearray | memoryview) -> None:
        """Add bytes of the data set. Raises RefusedInstanceError as soon as the object is longer than it may be."""
        self.size += len(part)
        if self.size > self._most:
            raise RefusedInstanceError(NO_RESOURCES, f"The object is longer than {self._most} bytes.")
        if len(self._first) < _FIRST:
            self._first += part[: _FIRST - len(self._first)]
        self._to.write(part)

    def head(self) -> Head:
        """What the object is filed by, once all of it is there.

        Raises RefusedInstanceError for what is no data set, or not that of the object and class that were announced.
        """
        try:
            found = heads.read(self._first, self._syntax)
        except ShortHeadError:
            found = self._head_of_more()
        except HeadError as error:
            raise _not_understood() from error
        if (found.class_uid, found.instance_uid) != self._names:
            raise RefusedInstanceError(NOT_ITS_CLASS, "The data set has other UIDs than were announced for it.")
        return found

    def data(self) -> bytes:
        """The file, of an object that is kept in memory."""
        return self._whole.getvalue()

    def settle(self) -> Stored:
        """Store the file; it is on the disk when this returns."""
        if self._begun is None:
            raise ValueError("an object that is kept in memory is not stored as it came")
        return self._begun.settle()

    def close(self) -> None:
        """Let go of what is in memory."""
        self._whole.close()

    def _head_of_more(self) -> Head:
        if self._begun is None:
            more = self.data()[len(self._meta) : len(self._meta) + heads.MOST]
        else:
            self._begun.flush()
            with self._begun.path.open("rb") as stream:
                stream.seek(len(self._meta))
                more = stream.read(heads.MOST)
        try:
            return heads.read(more, self._syntax)
        except HeadError as error:
            raise _not_understood() from error


class _Held:
    """How many bytes of objects are in memory, of all callers together."""

    def __init__(self) -> None:
        self._lock, self._bytes = threading.Lock(), 0

    def add(self, size: int, longest: int) -> None:
        """Count bytes in. Raises NoRoomError where there would be too many."""
        with self._lock:
            if self._bytes + size > max(_MOST_IN_MEMORY, longest):
                raise NoRoomError("Too many objects come in at a time; send it again later.")
            self._bytes += size

    def remove(self, size: int) -> None:
        """Count bytes out."""
        with self._lock:
            self._bytes -= size


_HELD: Final = _Held()


class InMemory(io.BytesIO):
    """Bytes of an object on its way in that may not be on the disk, counted for as long as this is open.

    longest: bytes of an object that there is always room for, where it is the only one.
    """

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest, self._held = longest, 0

    def write(self, block: Any, /) -> int:
        """Add bytes. Raises NoRoomError where all objects in memory have too many."""
        size = memoryview(block).nbytes
        _HELD.add(size, self._longest)
        self._held += size
        return super().write(block)

    def close(self) -> None:
        """Let go of them."""
        _HELD.remove(self._held)
        self._held = 0
        super().close()


@contextmanager
def arriving(
    files: Files, class_uid: str, instance_uid: str, syntax: str, most_bytes: int, in_memory: bool = False
) -> Iterator[Arrival]:
    """An object that comes in pieces. in_memory: nothing of it may be on the disk as it comes.

    Raises RefusedInstanceError for UIDs that are none.
    """
    if not all(heads.is_uid(one) for one in (class_uid, instance_uid, syntax)):
        raise _not_understood()
    if in_memory:
        arrival = Arrival(None, class_uid, instance_uid, syntax, most_bytes)
        with closing(arrival):
            yield arrival
        return
    with files.begin() as begun:
        yield Arrival(begun, class_uid, instance_uid, syntax, most_bytes)


def _not_understood() -> RefusedInstanceError:
    return RefusedInstanceError(CANNOT_UNDERSTAND, "The object is no DICOM data set with its four UIDs.")
