"""The table of a batch from its journal."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from insula import __version__
from insula.bundle.types import Bundle
from insula.core import journal_lines
from insula.core.recipe_policy import Source
from insula.core.synced import sync
from insula.infer import batch_rows, batch_written

_GROUP = 2000  # rows of one row group of the table


def short(text: str) -> bytes:
    """A digest of 12 bytes, by which a case and its content are known."""
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def write(journal: Path, out: Path, bundle: Bundle, sources: Collection[Source], cases: Collection[bytes]) -> None:
    """Write the table of these cases (`short` of their names) in one piece.

    Of a case with several rows the last one counts, at the place of the first. Rows are read one by one.
    """
    replaced = _replaced(journal)
    columns = batch_rows.columns(bundle, sources)
    facts = {"insula": __version__, "bundle": bundle.id, "recipe": bundle.recipe.name, "use": "research only"}
    wanted = set(cases)
    part = out.with_name(f".{out.name}.new")
    writer = batch_written.WRITERS[out.suffix.lower()]
    with writer(part, out, columns, facts) as put, journal.open("rb") as again:
        rows: list[Any] = []
        for line, _ in journal_lines.rows(journal):
            key = short(line["row"]["case"])
            if key not in wanted:
                continue
            wanted.discard(key)
            rows.append(_at(again, replaced[key]) if key in replaced else line["row"])
            if len(rows) == _GROUP:
                put(rows)
                rows = []
        put(rows)
    sync(part)  # its journal goes next, and a power failure must not take both
    part.replace(out)
    sync(out.parent)


def _replaced(journal: Path) -> dict[bytes, int]:
    """Where the last row of each case begins that has several."""
    seen: set[bytes] = set()
    found: dict[bytes, int] = {}
    at = 0
    for line, length in journal_lines.rows(journal):
        key = short(line["row"]["case"])
        if key in seen:
            found[key] = at
        seen.add(key)
        at += length
    return found


def _at(stream: Any, offset: int) -> Any:
    stream.seek(offset)
    line = journal_lines.decoded(stream.readline())
    if line is None:
        raise ValueError(f"no line at {offset}")
    return line["row"]
