"""A file of checksummed lines that are added and never changed, so that a killed process loses at most its last line.

A line is a checksum (CRC-32, 8 digits) and a JSON object. What comes after the last whole line is not trusted; it is
cut off when the file is opened for adding. One process at a time has it open.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from time import monotonic
from typing import Any

from insula.core.errors import UsageError

_SYNC_SECONDS = 1.0


class Lines:
    """An opened file, to which `add` adds."""

    def __init__(self, stream: FileIO) -> None:
        self._stream = stream
        self._synced = monotonic()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one line; at most a second later it is on the disk, where more are added."""
        write(self._stream, encoded(row))
        if monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Have everything on the disk."""
        os.fsync(self._stream.fileno())
        self._synced = monotonic()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Lines]:
    """Open a file for adding, its torn end cut off; UsageError while another process has it open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"Another process is writing to '{path.parent}'; wait for it, or give another folder."
            ) from None
        length = sum(size for _, size in rows(path))
        if path.stat().st_size > length:
            os.truncate(path, length)
        lines = Lines(stream)
        try:
            yield lines
        finally:
            lines.sync()


def rows(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Each line's object and its length in bytes, as far as the file can be trusted."""
    with path.open("rb") as stream:
        for line in stream:
            row = decoded(line)
            if row is None:
                return
            yield row, len(line)


def encoded(row: Mapping[str, Any]) -> bytes:
    """An object as a line."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def write(stream: FileIO, data: bytes | memoryview) -> None:
    """All of the data; one write may take a part of them only."""
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]


def decoded(line: bytes) -> dict[str, Any] | None:
    """The object of a line; None for one that is torn or was changed."""
    if not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    text = line[9:-1]
    if line[:8] != b"%08x" % zlib.crc32(text):
        return None
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
