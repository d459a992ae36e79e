"""Many cases through one bundle into one table: streaming, resumable, with a row for every case whatever it was.

Several processes decode and several threads prepare, some cases ahead; one engine answers, in the order in which the
cases come. Each row goes into a journal beside the table; a run that was killed goes on behind its last whole line, and
the table is made from the journal in one piece when all is done. So memory is needed for the cases on their way, and
for 32 bytes of each that is done.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insula.bundle.types import Bundle
from insula.core import journal_lines
from insula.core.errors import InsulaError, LimitError, ScanError, UnsuitableScanError, UsageError
from insula.core.provenance import write_json
from insula.core.recipe_policy import Source
from insula.core.types import FloatArray
from insula.infer import batch_rows, batch_table
from insula.infer.batch_items import Item
from insula.infer.batch_rows import Row
from insula.infer.batch_table import short
from insula.infer.decide import decide
from insula.infer.predict import Predictor
from insula.infer.uncertainty import SOURCES

JOURNAL, PLAN = "journal.txt", "batch.json"
_AHEAD = 2  # cases on their way for each reader
_LASTING = (ScanError, UnsuitableScanError)


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


@dataclass(frozen=True, eq=False)
class _Ready:
    """A case as the network gets it."""

    views: dict[str, tuple[FloatArray, ...]]
    cautions: tuple[str, ...]
    known: dict[str, str]


def place(out: Path) -> Path:
    """The folder beside a table in which it is being made."""
    return out.with_name(f"{out.name}.part")


def asked(bundle: Bundle, ask: Collection[Source]) -> tuple[Source, ...]:
    """The sources of uncertainty that are drawn: those asked for, and those by which the policy decides."""
    needed = bundle.recipe.policy.refer.sources
    return tuple(source for source in SOURCES if source in ask or source in needed)


def batch(
    predictor: Predictor,
    items: Iterator[Item],
    root: Path,
    out: Path,
    *,
    ask: Collection[Source] = (),
    passes: int = 0,
    readers: int = 2,
    watch: Watch | None = None,
) -> Counts:
    """Predict every item into `out` (Parquet), and return what became of them.

    root: under which the items' files lie. readers: cases that are read and prepared at once. A row whose failure may
    be the machine's (memory, a disk) is tried again by the next run. Raises UsageError where `out` is there already, or
    was begun with another bundle or other choices.
    """
    sources = asked(predictor.bundle, ask)
    folder = place(out)
    _own(out, folder, {"bundle": predictor.bundle.id, "sources": list(sources), "passes": passes})
    counts = Counts()
    with journal_lines.opened(folder / JOURNAL) as lines:
        done = _done(folder / JOURNAL)
        met: set[bytes] = set()

        def take(item: Item, row: Row | None) -> None:
            """Count a case, and write its row down where it is a new one."""
            key = short(item.case.key)
            met.add(key)
            counts.files += item.files
            if row is None:
                counts.kept += 1
                _count(counts, done[key][1])
            else:
                again = bool(row.pop("again", False))
                _count(counts, _kind(row))
                told = {"case": item.case.key, "patient": item.case.patient, "files": item.files, **row}
                lines.add({"content": "" if again else item.content, "row": told})
            if watch:
                watch(counts)

        with ThreadPoolExecutor(readers, "read") as pool:
            waiting: deque[tuple[Item, Future[_Ready] | None]] = deque()

            def answer_first() -> None:
                item, future = waiting.popleft()
                take(item, None if future is None else _answer(predictor, item, future, sources, passes))

            try:
                for item in items:
                    if item.aside:
                        counts.aside[item.aside] = counts.aside.get(item.aside, 0) + item.files
                        counts.files += item.files
                        continue
                    known = done.get(short(item.case.key))
                    same = known is not None and known[0] == short(item.content)
                    waiting.append((item, None if same else pool.submit(_ready, predictor, item, root)))
                    while len(waiting) >= readers * _AHEAD or (waiting and waiting[0][1] is None):
                        answer_first()
                while waiting:
                    answer_first()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if not met:
            raise ScanError(_nothing(root, counts))
        lines.sync()
    batch_table.write(folder / JOURNAL, out, predictor.bundle, sources, met)
    shutil.rmtree(folder)
    return counts


def _ready(predictor: Predictor, item: Item, root: Path) -> _Ready:
    """A case read and prepared, as `Predictor.views` does, with what its headers say where that is asked for."""
    if item.failure is not None:
        raise item.failure
    if not item.headers:
        views, cautions = predictor.views(item.case, root)
        return _Ready(dict(views), cautions, dict(item.case.attributes))
    scans = predictor.read(item.case, root)
    views, cautions = predictor.prepared_of(scans)
    known: dict[str, str] = {}
    for volumes in scans.values():
        for volume in volumes:
            known = {**volume.attributes, **known}
    return _Ready(dict(views), cautions, known)


def _answer(predictor: Predictor, item: Item, future: Future[_Ready], sources: Collection[Source], passes: int) -> Row:
    try:
        ready = future.result()
        name = item.case.key
        found = predictor.from_slices(ready.views, name, passes, ready.cautions, ready.known, sources)
    except InsulaError as error:
        lasting = isinstance(error, _LASTING) and not isinstance(error, LimitError)
        return batch_rows.failed(error) | ({} if lasting else {"again": True})
    except (OSError, ValueError, MemoryError) as error:
        why = InsulaError(f"'{item.case.key}' could not be predicted ({type(error).__name__}); run the batch again.")
        return batch_rows.failed(why) | {"again": True}
    return batch_rows.answered(found, decide(found, predictor.bundle))


def _kind(row: Row) -> str:
    return "failed" if row.get("error") else str(row["decision"])


def _count(counts: Counts, kind: str) -> None:
    counts.accepted += kind == "accept"
    counts.referred += kind == "refer"
    counts.rejected += kind == "reject"
    counts.failed += kind == "failed"


def _done(path: Path) -> dict[bytes, tuple[bytes, str]]:
    """Case → its content and what became of it, of every last row that needs not be made again."""
    found: dict[bytes, tuple[bytes, str]] = {}
    for line, _ in journal_lines.rows(path):
        row = line["row"]
        found[short(row["case"])] = (short(line["content"]) if line["content"] else b"", _kind(row))
    return found


def _own(out: Path, folder: Path, plan: dict[str, Any]) -> None:
    """The table is not there yet, and its folder is new or of a run with the same choices."""
    if out.suffix != ".parquet":
        raise UsageError(f"'{out.name}' is no name of a table; write --out NAME.parquet.")
    told = folder / PLAN
    begun: Any = None
    if told.is_file():
        with contextlib.suppress(ValueError):
            begun = json.loads(told.read_text(encoding="utf-8"))
    if out.exists():
        raise UsageError(f"'{out}' is there already; give another --out, or remove it.")
    if begun is None:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"'{folder}' is in the way and was not begun by a batch; move it, or give another --out.")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(told, plan)
    elif begun != plan:
        raise UsageError(
            f"'{folder}' was begun by bundle {begun.get('bundle')} with other choices; give the same ones, remove the "
            "folder, or give another --out."
        )


def _nothing(root: Path, counts: Counts) -> str:
    aside = ", ".join(f"{count} {why}" for why, count in sorted(counts.aside.items()))
    held = f"{counts.files} files, none of them a scan ({aside})" if counts.files else "no file"
    return f"'{root.name}' holds {held}; give a folder of scans or a cohort."
