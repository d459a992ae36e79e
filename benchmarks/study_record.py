"""The side of `study_cost.py` about many studies: the record of a batch, its table, and the driver of a cluster.

The record of 100,000 made rows is written, left as by a kill, opened again and made into a table, through the code that
a batch uses; once for the time, and once for the memory. Of the cluster: what the driver holds for each directory
before the first one is begun, and how long Ray takes for each unit of work beside the work.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
import tracemalloc
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from insula.bundle.types import Bundle
from insula.core.provenance import sha256_text
from insula.infer import batch_record
from insula.infer.archive_store import Directory
from insula.infer.batch_items import Item

ROWS, LISTED = 100_000, 5_000
UNITS, PATIENCE = (200, 1_000), 180.0
UID = "1.2.826.0.1.3680043.8.498."  # a study's folder and a slice's name in an archive: a root and a long number


class _Killed(Exception):  # noqa: N818
    """Leaves a record as a kill would."""


def measured(bundle: Bundle, folder: Path, item: Item) -> dict[str, Any]:
    """Bytes and seconds for each row of a record, and for each directory of an archive."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = [_row(bundle, i) for i in range(ROWS)]
    items = [_item(item, i) for i in range(ROWS)]
    out, again = folder / "t.parquet", folder / "m.parquet"
    begun = time.process_time()
    try:
        with batch_record.opened(out, bundle, (), 0, "archive") as record:
            for one, row in zip(items, rows, strict=True):
                record.take(one, row)
            raise _Killed
    except _Killed:
        written = time.process_time() - begun
    journal = batch_record.place(out) / batch_record.JOURNAL
    found: dict[str, Any] = {
        "rows": ROWS,
        "row_seconds": written / ROWS,
        "journal_bytes": journal.stat().st_size / ROWS,
    }
    shutil.copytree(batch_record.place(out), batch_record.place(again))
    begun = time.process_time()
    with batch_record.opened(out, bundle, (), 0, "archive") as record:
        found["open_seconds"] = (time.process_time() - begun) / ROWS
        for one in items:
            record.take(one, None)
        begun = time.process_time()
    found |= {"table_seconds": (time.process_time() - begun) / ROWS, "row_bytes": out.stat().st_size / ROWS}
    found |= _memory(bundle, again, items) | _listing() | _ray()
    shutil.rmtree(folder)
    return found


def _memory(bundle: Bundle, out: Path, items: list[Item]) -> dict[str, float]:
    """Bytes of each row: known from an earlier run, met in this one, and at most while the table is made."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    with batch_record.opened(out, bundle, (), 0, "archive") as record:
        known = tracemalloc.get_traced_memory()[0] - before
        for one in items:
            record.take(one, None)
        met = tracemalloc.get_traced_memory()[0] - before - known
        tracemalloc.reset_peak()
    most = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return {"known_bytes": known / ROWS, "met_bytes": met / ROWS, "most_bytes": most / ROWS}


def _listing() -> dict[str, float]:
    """Bytes of each directory of 30 files as the driver lists them all (`cluster`), the text of a unit of work."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    units = [json.dumps(asdict(_directory(i))) for i in range(LISTED)]
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return {"unit_bytes": held / len(units)}


_RAY = """
import json, logging, sys, time
from insula.scans import cluster_pool

class Nothing:
    def __call__(self, given):
        return {"rows": [str(unit) for unit in given["unit"]]}

ray = cluster_pool.started("local")
logging.getLogger("ray.data").setLevel(logging.ERROR)
context = ray.data.DataContext.get_current()
context.enable_progress_bars = False
context.execution_options.preserve_order = True
times = []
for count in (20, *(int(word) for word in sys.argv[2:])):
    begun = time.perf_counter()
    data = ray.data.from_items([{"unit": sys.argv[1]} for _ in range(count)], override_num_blocks=count)
    for _ in data.map_batches(
        Nothing, batch_size=1, compute=ray.data.ActorPoolStrategy(size=2), num_cpus=1
    ).iter_rows():
        pass
    times.append(time.perf_counter() - begun)
ray.shutdown()
print(json.dumps(times))
"""


def _ray() -> dict[str, float | None]:
    """Seconds of the clock for each unit that Ray hands out and back, without work.

    None where Ray is not installed, or did not start and end in time: on a machine busy with other work.
    """
    if find_spec("ray") is None:
        return {"ray_seconds": None}
    unit = json.dumps(asdict(_directory(0)))
    command = [sys.executable, "-c", _RAY, unit, *(str(count) for count in UNITS)]
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # the driver beside its actors, as on a machine of its own
    try:
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"Ray was not measured: {type(error).__name__} {str(error.stderr)[-300:]}", file=sys.stderr)
        return {"ray_seconds": None}
    finally:
        os.sched_setaffinity(0, mine)
    _, few, many = json.loads(said.strip().splitlines()[-1])
    return {"ray_seconds": (many - few) / (UNITS[1] - UNITS[0])}


def _item(item: Item, number: int) -> Item:
    key = _place(number)
    return replace(item, case=replace(item.case, key=key), content=sha256_text([key]))


def _directory(number: int) -> Directory:
    """One study's folder by year, day and a UID, with 30 files called by UIDs."""
    return Directory(_place(number), tuple(f"{UID}{10**32 + 30 * number + i}.dcm" for i in range(30)))


def _place(number: int) -> str:
    return f"2019/{number % 365:03}/{UID}{10**32 + number}"


def _row(bundle: Bundle, number: int) -> dict[str, Any]:
    """A row of an answered case, all its figures drawn anew, so that they take the room that real ones take."""
    target = bundle.recipe.target
    drawn = random.Random(number)
    referred = number % 4 == 0
    confidence = round(drawn.random(), 6)
    return {
        "label": target.positive if number % 3 else f"no {target.positive}",
        "positive": bool(number % 3),
        "confidence": confidence,
        "decision": "refer" if referred else "accept",
        "reasons": f"confidence {confidence:.2f} is below 0.7" if referred else "",
        **{f"p_{name}": round(drawn.random(), 6) for name in target.classes},
        "prediction_set": "; ".join(target.classes[: 1 + number % 3]),
        "domain_score": round(drawn.random(), 6),
        "warnings": "",
    }
