"""The same batch on many machines: Ray Data actors, each with the bundle, its decoders and one engine.

A unit of work is one directory of the archive, or some cases of a cohort. Every actor does with it what `batch.rows`
does on one machine; the driver writes the rows down in the archive's order, so that the table is the same, and a run
that was killed goes on in the same way.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from insula.bundle.layout import MANIFEST
from insula.bundle.load import load
from insula.bundle.signature import SIGNATURE
from insula.bundle.types import Bundle
from insula.core import scratch
from insula.core.errors import ScanError
from insula.core.recipe_policy import Source
from insula.core.types import Case, Cohort, Scan
from insula.infer import archive_store, batch, batch_items, batch_record, batch_rows, uncertainty
from insula.infer.batch_items import Item
from insula.infer.batch_record import Counts, Known, Watch
from insula.infer.batch_rows import Row
from insula.infer.blas import one_thread
from insula.infer.predict import Predictor
from insula.scans import cluster_pool
from insula.scans.sandbox import Sandbox

_CASES = 16  # of a cohort in one unit


@dataclass(frozen=True)
class Job:
    """What every actor is given: where the archive is, and what is asked of each case."""

    archive: str
    sources: tuple[Source, ...]
    passes: int
    threads: int = 1


def cluster(
    bundle: Bundle,
    archive: str | Cohort,
    out: Path,
    address: str,
    *,
    ask: Collection[Source] = (),
    passes: int = 0,
    actors: int | None = None,
    watch: Watch | None = None,
) -> Counts:
    """Predict an archive into `out` on the Ray cluster at an address ("auto": the one that this machine belongs to).

    archive: a folder on a disk that all machines share, an address that fsspec knows, or a cohort whose root is one of
    them. address: "" for this process alone, without Ray; "local" for a cluster of this machine. actors: how many; one
    for each CPU of the cluster unless told. Raises MissingPartError without Ray, otherwise as `batch.batch`.
    """
    where = archive.root if isinstance(archive, Cohort) else archive
    job = Job(where, uncertainty.asked(bundle, ask), passes)
    units = _of_cohort(archive) if isinstance(archive, Cohort) else _of_archive(archive, bundle)
    with batch_record.opened(out, bundle, job.sources, passes, batch_record.lying(where), watch) as record:
        made = (
            _by_ray(address, bundle, job, units, record.known, actors)
            if address
            else _here(bundle, job, units, record.known)
        )
        for item, row in made:
            record.take(item, row)
    return record.counts


def _here(bundle: Bundle, job: Job, units: list[str], known: Known) -> Iterator[tuple[Item, Row | None]]:
    worker = Worker(bundle, known, replace(job, threads=os.cpu_count() or 1))
    try:
        for unit in units:
            yield from _items(worker({"unit": [unit]})["rows"][0])
    finally:
        worker.close()


def _items(rows: str) -> Iterator[tuple[Item, Row | None]]:
    for told in json.loads(rows):
        case = Case(told["key"], told["patient"], {}, {})
        yield Item(case, told["content"], told["files"], aside=told["aside"]), told["row"]


def _of_archive(archive: str, bundle: Bundle) -> list[str]:
    batch_items.check_one_input(bundle.recipe)
    if not archive_store.is_remote(archive):
        batch_items.check_folder(Path(archive))
    return [json.dumps(asdict(directory)) for directory in archive_store.directories(archive)]


def _of_cohort(cohort: Cohort) -> list[str]:
    rows = [asdict(case) for case in cohort.cases]
    return [json.dumps({"cases": rows[i : i + _CASES]}) for i in range(0, len(rows), _CASES)]


def _by_ray(
    address: str, bundle: Bundle, job: Job, units: list[str], known: Known, actors: int | None
) -> Iterator[tuple[Item, Row | None]]:
    if not units:
        return
    ray = cluster_pool.started(address)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    count = min(actors or cluster_pool.cpus(ray), len(units))
    also = [name for name in (MANIFEST, SIGNATURE) if (bundle.path / name).exists()]
    files = {name: (bundle.path / name).read_bytes() for name in (*bundle.files, *also)}
    made = ray.data.from_items([{"unit": unit} for unit in units], override_num_blocks=len(units)).map_batches(
        _Actor,
        fn_constructor_args=(ray.put(files), ray.put(dict(known)), job),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=1,
    )
    for line in made.iter_rows():
        yield from _items(line["rows"])


class Worker:
    """What does the units, on one machine or as an actor. known: of the record."""

    def __init__(self, bundle: Bundle, known: Known, job: Job) -> None:
        one_thread()
        self._pool = Sandbox(1).start()
        self._predictor = Predictor(bundle, job.threads, self._pool.read_files, spins=False)
        self._known = known
        self._job = job

    def __call__(self, given: dict[str, Any]) -> dict[str, list[str]]:
        """The rows of each unit, as JSON."""
        return {"rows": [json.dumps(self._of(json.loads(str(unit)))) for unit in given["unit"]]}

    def close(self) -> None:
        """End the decoding process."""
        self._pool.close()

    def _of(self, unit: dict[str, Any]) -> list[dict[str, Any]]:
        recipe = self._predictor.bundle.recipe
        cases = tuple(_case(told) for told in unit.get("cases", ()))
        place = unit.get("place", ".")
        names = [f"{place}/{name}" if place != "." else name for name in unit.get("names", ())]
        names += [path for case in cases for scan in case.scans.values() for path in scan.paths]
        try:
            with archive_store.at_hand(self._job.archive, names) as root:
                items = (
                    batch_items.of_cohort(Cohort(cases, str(root)), recipe)
                    if cases
                    else batch_items.of_directory(root, root / place, unit["names"], recipe)
                )
                return list(self._told(items, root))
        except ScanError as error:  # a file that the store does not give: tried again by the next run
            lost = [(case.key, case.patient) for case in cases] or [(name, "") for name in names]
            facts = {"content": "", "files": 1, "aside": "", "row": batch_rows.failed(error) | {"again": True}}
            return [{"key": key, "patient": patient, **facts} for key, patient in lost]

    def _told(self, items: Iterable[Item], root: Path) -> Iterator[dict[str, Any]]:
        job = self._job
        for item, row in batch.rows(self._predictor, iter(items), root, self._known, job.sources, job.passes, 1):
            facts = {"key": item.case.key, "patient": item.case.patient, "content": item.content, "files": item.files}
            yield {**facts, "aside": item.aside, "row": row}


class _Actor(Worker):
    """A worker on another machine. files: name → bytes of the bundle, and the record's known, by references of Ray."""

    def __init__(self, files: Any, known: Any, job: Job) -> None:
        import ray

        self._folder = tempfile.TemporaryDirectory(dir=scratch.home())  # the engine reads its graphs when it is made
        for name, data in ray.get(files).items():
            (Path(self._folder.name) / name).write_bytes(data)
        super().__init__(load(Path(self._folder.name)), ray.get(known), job)


def _case(told: dict[str, Any]) -> Case:
    scans = {role: Scan(**{**scan, "paths": tuple(scan["paths"])}) for role, scan in told["scans"].items()}
    labels = {name: tuple(values) for name, values in told["labels"].items()}
    return Case(**{**told, "scans": scans, "labels": labels})
