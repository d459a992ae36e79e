"""A folder of made patients with known truth, in the layout that the index reads."""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from insula import __version__
from insula.cohort.phantom import patients
from insula.core.errors import UsageError
from insula.core.provenance import write_json, write_text

KINDS: dict[str, tuple[str, ...]] = {
    "haemorrhage-ct": (
        "patient_id",
        "any",
        "epidural",
        "intraparenchymal",
        "intraventricular",
        "subarachnoid",
        "subdural",
        "age",
        "sex",
        "scanner",
        "site",
        "tilt",
        "mask",
        "scan",
    ),
    "stroke-ct": ("patient_id", "label", "kind", "age", "sex", "scanner", "site", "tilt", "mask", "scan"),
    "brain-tumour": ("patient_id", "label", "age", "sex", "scanner", "site", "mask", "scan"),
    "clot-origin": ("patient_id", "label", "age", "sex", "site", "scan"),
}
_ALONE = 16
Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Order:
    """What to make: kind, seed, pixels a side, slices a scan."""

    kind: str
    seed: int
    size: int
    slices: int


def make(
    kind: str,
    folder: Path,
    count: int,
    seed: int = 0,
    size: int = 192,
    slices: int = 24,
    progress: Progress | None = None,
) -> Path:
    """Make `count` patients and return their folder: scans, `masks/`, `labels.csv` and `phantom.json`.

    size: pixels a side, 64 to 512. slices: 8 to 64 a scan (clot pictures have none). The same arguments give the same
    bytes. The folder appears only when it is whole; UsageError when it holds something already or an argument is off.
    """
    if kind not in KINDS:
        raise UsageError(f"There is no phantom '{kind}'; there are: {', '.join(KINDS)}.")
    if not 64 <= size <= 512 or (kind != "clot-origin" and not 8 <= slices <= 64) or count < 2:
        raise UsageError(
            f"{count} patients of {size} pixels and {slices} slices cannot be made; take at least 2 patients, "
            "64 to 512 pixels and 8 to 64 slices."
        )
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"'{folder}' is not empty; give a new folder for the phantoms.")
    working = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True)
    order = Order(kind, seed, size, slices)
    try:
        rows = [row for made in _each(order, working, count, progress) for row in made]
        stream = io.StringIO()
        table = csv.DictWriter(stream, KINDS[kind], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text(working / "labels.csv", stream.getvalue())
        facts = {"kind": kind, "seed": seed, "patients": count, "size": size, "slices": slices, "insula": __version__}
        write_json(working / "phantom.json", {**facts, "note": "Made patients: no real person stands behind them."})
        if folder.exists():
            folder.rmdir()
        working.rename(folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return folder


def _each(order: Order, folder: Path, count: int, progress: Progress | None) -> Iterator[list[patients.Row]]:
    numbers = list(range(count))
    work = partial(patients.patient, order.kind, folder, order.seed, order.size, order.slices)
    workers = min(2, os.cpu_count() or 1)
    if count <= _ALONE or workers == 1:
        yield from map(work, progress(numbers) if progress else numbers)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = pool.map(work, numbers, chunksize=4)
        for _ in progress(numbers) if progress else numbers:
            yield next(results)
