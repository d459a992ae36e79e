"""The journal of a store of embeddings: one line a case, added and never changed.

A line is a checksum (CRC-32, 8 digits) and JSON. A process may be killed at any moment: what comes after the last whole
line is cut off when the journal is opened again. One process at a time has it open.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from insula.core.errors import UsageError
from insula.core.types import FloatArray

JOURNAL = "journal.txt"
_SYNC_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Entry:
    """What became of one case: its embedding (E,) and facts, or the reason why it has none.

    content: of the files and columns that it was made from, by which a later run knows whether they changed. facts:
    plain JSON values.
    """

    case: str
    content: str
    embedding: FloatArray | None
    facts: Mapping[str, Any]
    failure: str = ""


class Journal:
    """An opened journal: the last entry of each case, and `add`."""

    def __init__(self, entries: dict[str, Entry], stream: FileIO) -> None:
        self.entries = entries
        self._stream = stream
        self._synced = monotonic()

    def add(self, entry: Entry) -> None:
        """Write one entry down; at most a second later it is on the disk."""
        _write(self._stream, _line(entry))
        self.entries[entry.case] = entry
        if monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Have everything on the disk."""
        os.fsync(self._stream.fileno())
        self._synced = monotonic()


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """Open the journal of a store for adding, its torn end cut off; UsageError while another process has it open."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOURNAL
    with path.open("ab", buffering=0) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"Another process is writing to '{folder}'; wait for it, or give another folder."
            ) from None
        entries, length = read(path)
        if path.stat().st_size > length:
            os.truncate(path, length)
        journal = Journal(entries, stream)
        try:
            yield journal
        finally:
            journal.sync()


def read(path: Path) -> tuple[dict[str, Entry], int]:
    """The last entry of each case, as far as the journal can be trusted, and how many of its bytes that is."""
    entries: dict[str, Entry] = {}
    length = 0
    with path.open("rb") as stream:
        for line in stream:
            entry = _entry(line)
            if entry is None:
                break
            entries[entry.case] = entry
            length += len(line)
    return entries, length


def _line(entry: Entry) -> bytes:
    row: dict[str, Any] = {"case": entry.case, "content": entry.content, "facts": dict(entry.facts)}
    if entry.embedding is not None:
        row["embedding"] = base64.b64encode(np.asarray(entry.embedding, "<f4").tobytes()).decode()
    if entry.failure:
        row["failure"] = entry.failure
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entry(line: bytes) -> Entry | None:
    """The entry of a line; None for one that is torn or was changed."""
    if not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    text = line[9:-1]
    if line[:8] != b"%08x" % zlib.crc32(text):
        return None
    row = json.loads(text)
    raw = row.get("embedding")
    embedding = None if raw is None else np.frombuffer(base64.b64decode(raw), "<f4").astype(np.float32)
    return Entry(row["case"], row["content"], embedding, row["facts"], row.get("failure", ""))


def _write(stream: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]
