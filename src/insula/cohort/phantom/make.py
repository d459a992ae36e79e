"""A folder of made patients with known truth, in the layout that the index reads."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from insula import __version__
from insula.cohort.phantom import faults, patients
from insula.cohort.phantom.order import TRUTH as TOLD
from insula.cohort.phantom.order import Options, Order, check
from insula.cohort.phantom.patients import Row
from insula.cohort.phantom.plants import Plants
from insula.core import children
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
    "stroke-ct": (
        "patient_id",
        "label",
        "kind",
        "infarct_age",
        "age",
        "sex",
        "scanner",
        "site",
        "tilt",
        "mask",
        "scan",
    ),
    "brain-tumour": (
        "patient_id",
        "label",
        "stage",
        "survival_days",
        "death",
        "age",
        "sex",
        "scanner",
        "site",
        "mask",
        "scan",
    ),
    "clot-origin": ("patient_id", "label", "age", "sex", "site", "scan"),
}
TRUTH = (
    *(
        "patient_id",
        "scan",
        "copy_of",
        "copy",
        "true_label",
        "given_label",
        "label_noise",
        "lesion",
        "side",
        "lesion_ml",
    ),
    *("true_mask", "true_infarct_age", "calcified", "radius_mm"),
    *("true_stage", "true_survival_days", "true_death", "log_hazard"),
    *("contrast", "role", "true_age", "true_sex", "true_scanner", "true_site", "atrophy", "skull_mm", "noise_hu"),
    *("blur_mm", "tilt", "contrast_factor", "slope_factor", "text", "border", "device", "outline", "colour"),
    *("missing", "damage"),
    *("damaged_file", "calcifications", "chalk"),
)
_ALONE = 16
Progress = Callable[[Iterable[int]], Iterable[int]]


def make(
    kind: str,
    folder: Path,
    count: int,
    seed: int = 0,
    size: int = 192,
    slices: int = 24,
    progress: Progress | None = None,
    *,
    options: Options | None = None,
    plants: Plants | None = None,
) -> Path:
    """Make `count` patients and return their folder: scans, `masks/`, `labels.csv`, `truth.csv` and `phantom.json`.

    size: pixels a side, 64 to 512. slices: 8 to 64 a scan (clot pictures have none). plants: faults, which the index
    does not see and `truth.csv` tells, a row per scan. Slices as pictures lie in class folders and have no
    `labels.csv`. The same arguments give the same bytes. The folder appears only when it is whole; UsageError when it
    holds something already or an argument is off.
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
    order = Order(kind, seed, size, slices, count, options or Options(), plants or Plants())
    check(order)
    working = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True)
    try:
        rows = [row for made in _each(order, working, progress) for row in made]
        extra = _faults(order, working, rows)
        if not order.options.pictures:
            _write(working / "labels.csv", columns(order), rows)
        _write(working / "truth.csv", TRUTH, [*rows, *extra])
        write_json(working / "phantom.json", _facts(order, rows, extra))
        if folder.exists():
            folder.rmdir()
        working.rename(folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return folder


def columns(order: Order) -> tuple[str, ...]:
    """The columns of `labels.csv`: where a patient has several scans, also what each is.

    What tells the answer stands in `truth.csv` alone, but for the stage and survival of patients with CT and MR, which
    are targets of the recipe brain-tumour-fusion.
    """
    more = ("role",) * (order.options.modality == "both") + ("contrast",) * bool(order.options.contrasts)
    told = order.options.answers or order.options.modality == "both"
    plain = tuple(name for name in KINDS[order.kind] if told or name not in TOLD)
    return (*plain[:-2], *more, *plain[-2:])


def _faults(order: Order, folder: Path, rows: list[Row]) -> list[Row]:
    """Plant what concerns the finished folder; adds the copies to the rows and returns rows for the truth alone."""
    if order.plants.duplicates:
        rows += faults.duplicates(order, folder, rows)
    faults.damage(order, folder, rows)
    if order.plants.duplicates:
        faults.split_lists(order, folder, rows)
    return faults.strangers(order, folder, rows)


def _facts(order: Order, rows: list[Row], extra: list[Row]) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": order.kind, "seed": order.seed, "patients": order.count, "size": order.size}
    facts |= {"slices": order.slices, "insula": __version__}
    if chosen := order.options.chosen():
        facts["options"] = chosen
    if chosen := order.plants.chosen():
        facts["plants"] = chosen
        facts["planted"] = _planted([*rows, *extra], order)
    return facts | {"note": "Made patients: no real person stands behind them."}


def _planted(rows: list[Row], order: Order) -> dict[str, list[str]]:
    """Who has which fault; the scanner's strength concerns everybody and is not listed."""
    marks = ("text", "border", "device", "outline", "colour", "missing", "label_noise", "copy", "chalk")
    found = {name: [r["patient_id"] for r in rows if r.get(name, "") not in ("", "0")] for name in marks}
    found["unreadable"] = [r["patient_id"] for r in rows if r.get("damage", "") in faults.DAMAGES]
    found["wrong_modality"] = [r["patient_id"] for r in rows if r.get("damage", "") == faults.STRANGER]
    found["slope"] = [r["patient_id"] for r in rows if r.get("slope_factor", "") not in ("", "1")]
    if order.plants.subgroup is not None:
        found["subgroup"] = [r["patient_id"] for r in rows if r.get("contrast_factor", "") not in ("", "1")]
    return {name: sorted(set(patients)) for name, patients in found.items() if patients}


def _write(path: Path, names: Sequence[str], rows: Sequence[Row]) -> None:
    stream = io.StringIO()
    table = csv.DictWriter(stream, names, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, stream.getvalue())


def _each(order: Order, folder: Path, progress: Progress | None) -> Iterator[list[Row]]:
    numbers = list(range(order.count))
    work = partial(patients.patient, order, folder)
    workers = min(2, os.cpu_count() or 1)
    if order.count <= _ALONE or workers == 1:
        yield from map(work, progress(numbers) if progress else numbers)
        return
    with children.pool(workers) as pool:
        results = pool.map(work, numbers, chunksize=4)
        for _ in progress(numbers) if progress else numbers:
            yield next(results)
