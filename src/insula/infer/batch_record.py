"""What a batch has done so far: a journal beside the table, from which the table is made when all is done."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insula.bundle.types import Bundle
from insula.core import journal_lines
from insula.core.errors import InsulaError, ScanError, UsageError
from insula.core.journal_lines import Lines
from insula.core.provenance import write_json
from insula.core.recipe_policy import Source
from insula.infer import batch_table, batch_written
from insula.infer.batch_items import Item
from insula.infer.batch_rows import Row
from insula.infer.batch_table import short

JOURNAL, PLAN = "journal.txt", "batch.json"
_SCANS = "scans"
Known = Mapping[bytes, tuple[bytes, str]]


@dataclass
class Counts:
    """How far a batch is: rows by what became of them, files behind them, and files that hold nothing to predict.

    kept: rows that an earlier run had made already.
    """

    accepted: int = 0
    referred: int = 0
    rejected: int = 0
    failed: int = 0
    kept: int = 0
    files: int = 0
    aside: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows so far."""
        return self.accepted + self.referred + self.rejected + self.failed


Watch = Callable[[Counts], None]


def place(out: Path) -> Path:
    """The folder beside a table in which it is being made."""
    return out.with_name(f"{out.name}.part")


def same(item: Item, known: Known) -> bool:
    """Whether an earlier run has the row of an item whose files are as they were."""
    found = known.get(short(item.case.key))
    return found is not None and found[0] == short(item.content)


class Record:
    """An opened record. known: case → its content and what became of it, from earlier runs (digests of 12 bytes)."""

    def __init__(self, lines: Lines, known: Known, watch: Watch | None) -> None:
        self.known = known
        self.counts = Counts()
        self.met: set[bytes] = set()
        self._lines = lines
        self._watch = watch

    def take(self, item: Item, row: Row | None) -> None:
        """Count an item and write its row down; None for one that is nothing to predict, or that is known already.

        A row with `again` is made anew by the next run.
        """
        self.counts.files += item.files
        if item.aside:
            self.counts.aside[item.aside] = self.counts.aside.get(item.aside, 0) + item.files
        else:
            key = short(item.case.key)
            self.met.add(key)
            if row is None:
                self.counts.kept += 1
                self._count(self.known[key][1])
            else:
                self._add(item, dict(row))
        if self._watch:
            self._watch(self.counts)

    def _add(self, item: Item, row: Row) -> None:
        again = bool(row.pop("again", False))
        self._count(_kind(row))
        told = {"case": item.case.key, "patient": item.case.patient, "files": item.files, **row}
        self._lines.add({"content": "" if again else item.content, "row": told})

    def _count(self, kind: str) -> None:
        self.counts.accepted += kind == "accept"
        self.counts.referred += kind == "refer"
        self.counts.rejected += kind == "reject"
        self.counts.failed += kind == "failed"


@contextlib.contextmanager
def opened(
    out: Path, bundle: Bundle, sources: Collection[Source], passes: int, archive: str, watch: Watch | None = None
) -> Iterator[Record]:
    """A record to take rows; when it is left without an error the table is written and the record removed.

    archive: where the scans lie (`lying`). An error before any row was made leaves nothing behind. Raises UsageError
    where the table is there already, or was begun with another bundle, other choices or of another archive, ScanError
    where not one item was met, and as `batch_written.check`.
    """
    folder = place(out)
    above = [parent for parent in folder.parents if not parent.exists()]
    _own(out, folder, {"bundle": bundle.id, "sources": list(sources), "passes": passes, _SCANS: archive})
    with journal_lines.opened(folder / JOURNAL) as lines:
        record = Record(lines, _known(folder / JOURNAL), watch)
        try:
            yield record
            if not record.met:
                raise ScanError(_nothing(archive.rstrip("/").rpartition("/")[2], record.counts))
        except InsulaError:
            if not record.known and not record.counts.rows:
                _removed(folder, above)
            raise
        lines.sync()
        batch_table.write(folder / JOURNAL, out, bundle, sources, record.met)
    shutil.rmtree(folder)


def lying(archive: str | Path) -> str:
    """Where an archive lies: its path from the root, or its address without what may be a key."""
    scheme, remote, rest = str(archive).partition("://")
    if not remote:
        return str(Path(archive).resolve())
    server, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}{remote}{server.rpartition('@')[2]}{slash}{path}".rstrip("/")


def _removed(folder: Path, above: Collection[Path]) -> None:
    """Remove a record without rows, and the folders that were made for it."""
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # not empty any more
        for parent in above:
            parent.rmdir()


def _known(path: Path) -> dict[bytes, tuple[bytes, str]]:
    found: dict[bytes, tuple[bytes, str]] = {}
    for line, _ in journal_lines.rows(path):
        row = line["row"]
        found[short(row["case"])] = (short(line["content"]) if line["content"] else b"", _kind(row))
    return found


def _kind(row: Mapping[str, Any]) -> str:
    return "failed" if row.get("error") else str(row["decision"])


def _own(out: Path, folder: Path, plan: dict[str, Any]) -> None:
    """The table is not there yet, and its folder is new or of a run with the same choices."""
    batch_written.check(out)
    told = folder / PLAN
    begun = _begun(told)
    silent = begun is not None and _SCANS not in begun  # by an earlier version, which did not write it down
    if begun is not None and silent:
        begun = {**begun, _SCANS: plan[_SCANS]}
    if out.exists():
        if begun == plan:  # killed between the table and the end of its record
            shutil.rmtree(folder)
        raise UsageError(f"'{out}' is there already; give another --out, or remove it.")
    if begun is None:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"'{folder}' is in the way and was not begun by a batch; move it, or give another --out.")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(told, plan)
    elif begun == plan:
        if silent:
            write_json(told, plan)
    elif {**begun, _SCANS: plan[_SCANS]} == plan:
        raise UsageError(
            f"'{folder}' was begun with the scans of '{begun[_SCANS]}', not '{plan[_SCANS]}'; give those again, or "
            "another --out; where the archive was moved, remove the folder to begin anew."
        )
    else:
        raise UsageError(
            f"'{folder}' was begun by bundle {begun.get('bundle')} with other choices; give the same ones, remove the "
            "folder, or give another --out."
        )


def _begun(told: Path) -> dict[str, Any] | None:
    """What a record was begun with; None where there is none."""
    if told.is_file():
        with contextlib.suppress(ValueError):
            found = json.loads(told.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
    return None


def _nothing(root: str, counts: Counts) -> str:
    aside = ", ".join(f"{count} {why}" for why, count in sorted(counts.aside.items()))
    held = f"{counts.files} files, none of them a scan ({aside})" if counts.files else "no file"
    return f"'{root}' holds {held}; give a folder of scans or a cohort."
