"""Bytes behind the end that a file gives itself: nobody reads them, and they may be what went wrong, so they are told.

A TIFF has no such end: its directories name places anywhere in the file, and what none of them names is no fault.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Any, BinaryIO, cast

LONGER = "the file holds more bytes than its header promises: the rest was ignored"
_PNG, _LAST = 8, b"IEND"  # the signature's length, and the type of the last chunk (PNG, 5.2 and 11.2.5)
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # JPEG markers without a length (T.81, table B.1): TEM, RSTn, SOI
_END = 0xD9
# in coded data FF 00 is a byte, FF D0 to FF D7 restart, and of FF after FF the last one counts (T.81, B.1.1)
_NEXT = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # a repeated FF here takes time as the square of its length


def picture(path: Path, kind: str | None) -> tuple[str, ...]:
    """What to warn of behind the end of a picture that was decoded. kind: PNG, JPEG, or others that have no end."""
    if kind not in ("PNG", "JPEG"):
        return ()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = _png_end(data) if kind == "PNG" else jpeg_end(data)
        return (LONGER,) if 0 < end < len(data) else ()


class Noticed:
    """A stream of which fewer bytes than were asked for came, once it ended. rest: how many, of the last such read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.rest = stream, 0

    def read(self, size: int = -1) -> bytes:
        """As the stream's own."""
        found = self._stream.read(size)
        if 0 < len(found) < size:
            self.rest = len(found)
        return found

    def as_stream(self) -> BinaryIO:
        """The same, for those who want a stream."""
        return cast(BinaryIO, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _png_end(data: mmap.mmap) -> int:
    """Where the last chunk ends, 0 without one."""
    place = _PNG
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == _LAST:
            return end
        place = end
    return 0


def jpeg_end(data: mmap.mmap) -> int:
    """Where the end marker ends, 0 without one."""
    place = 0
    while (found := _NEXT.search(data, place)) is not None:
        place, marker = found.end(), found.group()[-1]
        if marker == _END:
            return place
        if marker not in _ALONE:
            place += int.from_bytes(data[place : place + 2], "big")
    return 0
