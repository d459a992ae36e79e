"""The journal of a store of embeddings: one line a case, added and never changed (see `core.journal_lines`)."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from insula.core import journal_lines
from insula.core.journal_lines import Lines
from insula.core.types import FloatArray

JOURNAL = "journal.txt"


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

    def __init__(self, entries: dict[str, Entry], lines: Lines) -> None:
        self.entries = entries
        self._lines = lines

    def add(self, entry: Entry) -> None:
        """Write one entry down; at most a second later it is on the disk."""
        self._lines.add(_row(entry))
        self.entries[entry.case] = entry

    def sync(self) -> None:
        """Have everything on the disk."""
        self._lines.sync()


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """Open the journal of a store for adding, its torn end cut off; UsageError while another process has it open."""
    path = folder / JOURNAL
    with journal_lines.opened(path) as lines:
        yield Journal(read(path), lines)


def read(path: Path) -> dict[str, Entry]:
    """The last entry of each case, as far as the journal can be trusted."""
    return {row["case"]: _entry(row) for row, _ in journal_lines.rows(path)}


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {"case": entry.case, "content": entry.content, "facts": dict(entry.facts)}
    if entry.embedding is not None:
        row["embedding"] = base64.b64encode(np.asarray(entry.embedding, "<f4").tobytes()).decode()
    if entry.failure:
        row["failure"] = entry.failure
    return row


def _entry(row: Mapping[str, Any]) -> Entry:
    raw = row.get("embedding")
    embedding = None if raw is None else np.frombuffer(base64.b64decode(raw), "<f4").astype(np.float32)
    return Entry(row["case"], row["content"], embedding, row["facts"], row.get("failure", ""))
