"""The files of a prepared cache: arrays that only grow, and a journal that says what lies where.

`journal.txt` has one line an event: a checksum (CRC-32, 8 digits) and JSON. A case's slices are appended to
`slices-CxHxW.f32` first, then its line to the journal. A process may be killed at any moment: what comes after the last
whole line is cut off when the store is opened again, and lines written after the last `synced` mark, which may have
outrun their slices when the machine itself went down, have the checksums of their slices compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.core.journal_lines import decoded, encoded, write
from insula.core.types import FloatArray
from insula.prep.work import Stamp

JOURNAL = "journal.txt"
_SYNC_SECONDS = 1.0
_ITEM = np.dtype("<f4")
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Place:
    """Where the slices of one content lie: rows offset to offset + count of the array of this shape (C, H, W)."""

    shape: Shape
    offset: int
    count: int
    crc: int


@dataclass
class Table:
    """What a journal says. places, failures: by content. contents: case key → the contents it ever had, last at the
    end. seen: file → (bytes, time of change, SHA-256). rows: of each array.
    """

    places: dict[str, Place] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    contents: dict[str, list[str]] = field(default_factory=dict)
    seen: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    rows: dict[Shape, int] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        """Add one event of the journal."""
        if "id" not in event:
            return
        content, case = str(event["id"]), str(event["case"])
        known = self.contents.setdefault(case, [])
        if content in known:
            known.remove(content)
        known.append(content)
        for path, size, time, digest in event["files"]:
            self.seen[path] = (size, time, digest)
        if event.get("failure"):
            self.failures[content] = str(event["failure"])
        if "shape" in event:
            place = _place(event)
            self.places[content] = place
            self.rows[place.shape] = place.offset + place.count


class Store:
    """An opened store that can be added to; only one process at a time has it open."""

    def __init__(self, folder: Path, table: Table, journal: FileIO) -> None:
        self.folder = folder
        self.table = table
        self._journal = journal
        self._arrays: dict[Shape, FileIO] = {}
        self._synced = monotonic()
        self._dirty = False

    def add(self, case: str, content: str, files: list[Stamp], slices: FloatArray | None, failure: str = "") -> None:
        """Keep a case's slices (count, C, H, W), or why it has none, or (neither given) that its files were seen."""
        event: dict[str, Any] = {"id": content, "case": case, "files": [list(stamp) for stamp in files]}
        if failure:
            event["failure"] = failure
        if slices is not None and content not in self.table.places:
            event |= self._append(np.ascontiguousarray(slices, _ITEM))
        write(self._journal, encoded(event))
        self._dirty = True
        self.table.take(event)
        if monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Have everything on the disk, slices before the line that vouches for them."""
        if not self._dirty:
            return
        for stream in self._arrays.values():
            os.fsync(stream.fileno())
        write(self._journal, encoded({"synced": True}))
        os.fsync(self._journal.fileno())
        self._synced, self._dirty = monotonic(), False

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        for stream in (*self._arrays.values(), self._journal):
            stream.close()

    def _append(self, slices: NDArray[np.float32]) -> dict[str, Any]:
        shape: Shape = (slices.shape[1], slices.shape[2], slices.shape[3])
        if shape not in self._arrays:
            self._arrays[shape] = array_path(self.folder, shape).open("ab", buffering=0)
        write(self._arrays[shape], slices.data.cast("B"))
        offset = self.table.rows.get(shape, 0)
        return {"shape": list(shape), "offset": offset, "count": len(slices), "crc": zlib.crc32(slices.data.cast("B"))}


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """Open a store for adding, mended where it was left torn; waits while another process has it open."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        table, length = read(folder)
        _cut(folder / JOURNAL, length)
        for path in folder.glob("slices-*.f32"):
            shape = next((s for s in table.rows if array_path(folder, s) == path), None)
            _cut(path, table.rows[shape] * _row(shape) if shape else 0)
        with (folder / JOURNAL).open("ab", buffering=0) as journal:
            store = Store(folder, table, journal)
            try:
                yield store
            finally:
                store.close()


def read(folder: Path) -> tuple[Table, int]:
    """What the journal says as far as it can be trusted, and how many of its bytes those are; changes nothing."""
    table, length = Table(), 0
    path = folder / JOURNAL
    whole = path.read_bytes() if path.is_file() else b""
    lines = whole.splitlines(keepends=True)
    events = [decoded(line) for line in lines]
    vouched = max((i for i, event in enumerate(events) if event is not None and "synced" in event), default=-1)
    for i, (line, event) in enumerate(zip(lines, events, strict=True)):
        if event is None or ("shape" in event and not _holds(folder, _place(event), i > vouched)):
            break
        table.take(event)
        length += len(line)
    return table, length


def array_path(folder: Path, shape: Shape) -> Path:
    """The array of slices of one shape (C, H, W)."""
    return folder / f"slices-{'x'.join(str(n) for n in shape)}.f32"


def _place(event: dict[str, Any]) -> Place:
    c, h, w = (int(n) for n in event["shape"])
    return Place((c, h, w), int(event["offset"]), int(event["count"]), int(event["crc"]))


def _holds(folder: Path, place: Place, compare: bool) -> bool:
    """Whether an array is long enough for a place, and holds what was written there."""
    path, row = array_path(folder, place.shape), _row(place.shape)
    if not path.is_file() or path.stat().st_size < (place.offset + place.count) * row:
        return False
    if not compare:
        return True
    with path.open("rb") as stream:
        stream.seek(place.offset * row)
        return zlib.crc32(stream.read(place.count * row)) == place.crc


def _row(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2] * _ITEM.itemsize


def _cut(path: Path, length: int) -> None:
    if path.is_file() and path.stat().st_size > length:
        os.truncate(path, length)
