"""Many cases through one bundle into one table: streaming, resumable, with a row for every case whatever it was.

Several processes decode and several threads prepare, some cases ahead; one engine takes the cases in the order in which
they come, two at once where it has two threads (`shared_out`). Each row goes into a journal beside the table; a
run that was killed goes on behind its last whole line, and the table is made from the journal in one piece when all is
done. So memory is needed for the cases on their way, and for some hundred bytes of each that is done.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from insula.core import cores
from insula.core.errors import InsulaError, LimitError, ScanError, UnsuitableScanError
from insula.core.recipe_policy import Source
from insula.core.types import FloatArray
from insula.infer import batch_record, batch_rows
from insula.infer.batch_items import Item
from insula.infer.batch_record import Counts, Known, Watch
from insula.infer.batch_rows import Row
from insula.infer.blas import one_thread
from insula.infer.decide import decide
from insula.infer.engine import Engine, Outputs
from insula.infer.predict import Predictor
from insula.infer.provider_names import RUNTIME
from insula.infer.uncertainty import asked

_AHEAD = 2  # cases on their way for each reader
_LASTING = (ScanError, UnsuitableScanError)


@dataclass(frozen=True, eq=False)
class _Ready:
    """A case as the network gets it."""

    views: dict[str, tuple[FloatArray, ...]]
    cautions: tuple[str, ...]
    known: dict[str, str]


def shared_out(threads: int | None) -> tuple[int, int]:
    """Threads of an engine and cases in it at once, of so many threads in all, or one for each usable core.

    ONNX Runtime counts the thread that asks among those of a run, and what is left serves all runs. Two runs at once do
    not wait at every layer for a thread that a reader has pushed off its core.
    """
    whole = threads or cores.usable()
    at_once = min(whole, 2)
    return whole - at_once + 1, at_once


def batch(
    predictor: Predictor,
    items: Iterator[Item],
    root: Path,
    out: Path,
    *,
    ask: Collection[Source] = (),
    passes: int = 0,
    readers: int = 2,
    at_once: int = 1,
    watch: Watch | None = None,
) -> Counts:
    """Predict every item into `out` (Parquet), and return what became of them.

    root: under which the items' files lie. readers: cases that are read and prepared at once. at_once: cases in the
    network at once, on the CPU; one for an engine that has all threads (`shared_out`). A row whose failure may be the
    machine's (memory, a disk) is tried again by the next run. Raises as `batch_record.opened`.
    """
    one_thread()
    sources = asked(predictor.bundle, ask)
    with batch_record.opened(out, predictor.bundle, sources, passes, batch_record.lying(root), watch) as record:
        for item, row in rows(predictor, items, root, record.known, sources, passes, readers, at_once):
            record.take(item, row)
    return record.counts


def rows(
    predictor: Predictor,
    items: Iterator[Item],
    root: Path,
    known: Known,
    sources: Collection[Source],
    passes: int,
    readers: int,
    at_once: int = 1,
) -> Iterator[tuple[Item, Row | None]]:
    """Each item with its row, in their order; None for what is set aside, and for what is known already."""
    at_once = at_once if predictor.engine.provider == RUNTIME["cpu"] else 1  # a device's memory holds one case surely
    in_turn = copy.copy(predictor)
    in_turn.engine = _InTurn(predictor.engine, at_once)
    ahead = max(readers * _AHEAD, readers + at_once)
    with (
        ThreadPoolExecutor(readers, "read") as pool,
        ThreadPoolExecutor(1, "list") as lister,
        ThreadPoolExecutor(at_once + 1, "answer") as answering,
    ):
        waiting: deque[tuple[Item, Future[Row] | None]] = deque()

        def begun(item: Item) -> Future[Row]:
            ready = pool.submit(_ready, predictor, item, root)
            return answering.submit(_answer, in_turn, item, ready, sources, passes)

        def first() -> tuple[Item, Row | None]:
            item, future = waiting.popleft()
            return item, None if future is None else future.result()

        try:
            for item in _one_ahead(items, lister):
                done = bool(item.aside) or batch_record.same(item, known)
                waiting.append((item, None if done else begun(item)))
                while waiting and (len(waiting) >= ahead or waiting[0][1] is None):
                    yield first()
            while waiting:
                yield first()
        finally:
            for one in (answering, pool):  # an answer that waits for a case which is not read any more ends with it
                one.shutdown(wait=False, cancel_futures=True)


class _InTurn(Engine):
    """An engine that several threads share: so many cases are in the network at a time, and no more."""

    def __init__(self, engine: Engine, at_once: int) -> None:
        vars(self).update(vars(engine))  # the same two sessions
        self._turn = threading.Semaphore(at_once)

    def run(self, feed: Mapping[str, FloatArray]) -> Outputs:
        """`Engine.run`, when it is its turn."""
        with self._turn:
            return super().run(feed)


def _one_ahead(items: Iterator[Item], lister: ThreadPoolExecutor) -> Iterator[Item]:
    """The items, each looked for (headers are read for that) while the network is at work on an earlier one."""
    coming = lister.submit(next, items, None)
    while (item := coming.result()) is not None:
        coming = lister.submit(next, items, None)
        yield item


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
