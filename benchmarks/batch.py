"""From DICOM files to a table: the batch beside what it cannot do without (make bench-batch).

Interleaved in one process, on all cores: reading every series in decoding processes and nothing else (the floor of
decoding), running the network on slices that lie ready in memory (the bare engine), and the batch, which does both with
preparation, decision and journal. Then resident memory of a batch of 1,000 and of 20,000 files, in processes of their
own; and two Ray actors beside the plain batch, both by how much longer they take for four times the archive, so that
neither's start is in it.

Goals: the batch at 0.90 of the slower of floor and engine; memory of 20,000 files at most 1.1 times that of 1,000; Ray
at 0.85 of the plain batch with the same rows. `--write PAGE` writes the page of docs/results.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from machine import described

from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.cohort import index as cohort_index
from insula.cohort import split as cohort_split
from insula.cohort.phantom.make import make
from insula.core import recipe as recipes
from insula.core.provenance import write_text
from insula.export.finish import finish
from insula.infer.batch import batch, shared_out
from insula.infer.batch_items import of_folder
from insula.infer.cluster import cluster
from insula.infer.engine import Engine
from insula.infer.feed import of_case
from insula.infer.predict import Predictor
from insula.model.network import Network
from insula.prep.cache import build_all
from insula.scans.sandbox import Sandbox
from insula.train.run import keep

PATIENTS, SLICES, SIDE, ROUNDS, PACED = 24, 28, 512, 3, 7
FEW, MANY, SMALL = 1_000, 20_000, 64
OF_SLOWER, MEMORY, OF_PLAIN = 0.90, 1.1, 0.85


def bundled(folder: Path, encoder: str) -> Bundle:
    """A bundle with random weights, made as after a training run."""
    recipe = recipes.load("haemorrhage-ct", (f"model.encoder={encoder}", "model.pretrained=false"))
    make("haemorrhage-ct", folder / "train", 16, 1, 96, 8)
    table = cohort_split.split(cohort_index.index(folder / "train", recipe), recipe, (0.5, 0.5, 0.0))
    prepared = build_all(table.cases, Path(table.root), recipe, folder / "cache")
    shapes = {role: (one.slices.shape[1], one.slices.shape[2], one.slices.shape[3]) for role, one in prepared.items()}
    run = folder / "run"
    run.mkdir()
    torch.manual_seed(0)
    facts = {"epochs": 1, "best_val_loss": 1.0, "start": "random.", "train_inputs": 8, "val_inputs": 8}
    write_text(run / "recipe.yaml", recipes.dump(recipe))
    made, _ = finish(keep(run, recipe, Network(recipe, shapes).eval(), prepared, facts), table, folder / "bundle")
    return made


def paces(bundle: Bundle, archive: Path, work: Path) -> dict[str, list[float]]:
    """Seconds of each side and round over the whole archive."""
    cores = os.cpu_count() or 1
    recipe = bundle.recipe
    items = [item for item in of_folder(archive, recipe) if not item.aside]
    engine = Engine(bundle, cores)
    found: dict[str, list[float]] = {"decoding": [], "engine": [], "batch": []}
    threads, at_once = shared_out(None)
    with Sandbox(cores).start(cores) as pool:
        predictor = Predictor(bundle, threads, pool.read_files, spins=False)
        feeds = [of_case(predictor.views(item.case, archive)[0], (), engine.input_shapes, recipe) for item in items[:8]]

        def decoding() -> None:
            with ThreadPoolExecutor(cores) as threads:
                paths = [[archive / p for p in item.case.scans[recipe.role].paths] for item in items]
                list(threads.map(pool.read_files, paths))

        def engines() -> None:
            for number in range(len(items)):
                engine.run(feeds[number % len(feeds)])

        def batches() -> None:
            out = work / "t.parquet"
            out.unlink(missing_ok=True)
            batch(predictor, of_folder(archive, recipe), archive, out, readers=cores, at_once=at_once)

        for number in range(PACED + 1):
            for name, side in (("decoding", decoding), ("engine", engines), ("batch", batches)):
                begun = time.perf_counter()
                side()
                if number:
                    found[name].append(time.perf_counter() - begun)
    return found


_MEMORY = """
import sys
from pathlib import Path
from insula.bundle.load import load
from insula.infer.batch import batch, shared_out
from insula.infer.batch_items import of_folder
from insula.infer.predict import Predictor
from insula.scans.sandbox import Sandbox
threads, at_once = shared_out(2)
bundle, archive, out = load(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
with Sandbox(2) as pool:
    predictor = Predictor(bundle, threads, pool.read_files, spins=False)
    counts = batch(predictor, of_folder(archive, bundle.recipe), archive, out, at_once=at_once)
status = Path("/proc/self/status").read_text().splitlines()  # not ru_maxrss, which remembers the parent's memory too
print(counts.files, next(int(line.split()[1]) for line in status if line.startswith("VmHWM")))
"""


def memory(bundle: Bundle, archive: Path, work: Path) -> int:
    """Most resident kilobytes of a batch over an archive, in a process of its own."""
    out = work / "m.parquet"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-c", _MEMORY, str(bundle.path), str(archive), str(out)]
    files, kilobytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    print(f"{files} files: {int(kilobytes) / 1024:.0f} MB", file=sys.stderr)
    return int(kilobytes)


def multiplied(source: Path, target: Path, files: int) -> None:
    """An archive of so many files: links to the series of a small one, over and over."""
    series = sorted({path.parent for path in source.rglob("*.dcm")})
    names = {place: sorted(place.glob("*.dcm")) for place in series}
    made, number = 0, 0
    while made < files:
        place = series[number % len(series)]
        folder = target / f"{number // 100:04}" / f"{number:06}"
        folder.mkdir(parents=True)
        for path in names[place]:
            os.link(path, folder / path.name)
        made += len(names[place])
        number += 1


def ray_pace(bundle: Bundle, archive: Path, work: Path) -> tuple[dict[str, list[float]], bool]:
    """How many seconds more plain batch and two Ray actors take for four archives than for one; whether rows agree."""
    import ray

    cores = os.cpu_count() or 1
    threads, at_once = shared_out(None)
    four = work / "four"
    if not four.exists():
        for part in ("a", "b", "c", "d"):
            shutil.copytree(archive, four / part, copy_function=os.link)

    def plain(place: Path, out: Path) -> None:
        with Sandbox(cores).start(cores) as pool:
            predictor = Predictor(bundle, threads, pool.read_files, spins=False)
            batch(predictor, of_folder(place, bundle.recipe), place, out, readers=cores, at_once=at_once)

    def by_ray(place: Path, out: Path) -> None:
        cluster(bundle, str(place), out, "local", actors=2)

    found: dict[str, list[float]] = {"plain": [], "ray": []}
    same = True
    (work / "start.parquet").unlink(missing_ok=True)
    by_ray(archive, work / "start.parquet")  # Ray starts, which takes it longer than any later call
    for _ in range(ROUNDS):
        for name, side in (("plain", plain), ("ray", by_ray)):
            times = []
            for place in (archive, four):
                out = work / f"{name}-{place.name}.parquet"
                out.unlink(missing_ok=True)
                begun = time.perf_counter()
                side(place, out)
                times.append(time.perf_counter() - begun)
            found[name].append(times[1] - times[0])
        tables = [pq.read_table(work / f"{name}-four.parquet") for name in ("plain", "ray")]
        same = same and tables[0].equals(tables[1])
    ray.shutdown()
    return found, same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, help="Kept for the next run; a temporary folder unless told.")
    parser.add_argument("--only", choices=["pace", "memory", "ray"])
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page of docs/results, of a whole run")
    given = parser.parse_args()
    if given.write and given.only:
        parser.error("--write takes a whole run; leave --only out")
    load_before = os.getloadavg()[0]
    work = given.work or Path(tempfile.mkdtemp(prefix="insula-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    for name, encoder in (("large", "resnet18"), ("small", "simple_cnn")):
        if not (work / name / "bundle").exists():
            shutil.rmtree(work / name, ignore_errors=True)
            (work / name).mkdir()
            bundled(work / name, encoder)
    large, small = (load(work / name / "bundle") for name in ("large", "small"))
    if not (work / "archive").exists():
        make("haemorrhage-ct", work / "archive.new", PATIENTS, 0, SIDE, SLICES)
        make("haemorrhage-ct", work / "little.new", 20, 0, SMALL, 20)
        (work / "little.new").rename(work / "little")
        (work / "archive.new").rename(work / "archive")
    result: dict[str, Any] = {"machine": described(os.cpu_count() or 1), "load": round(load_before, 1)}
    goals: list[tuple[str, float, str, bool]] = []
    if given.only in (None, "pace"):
        times = paces(large, work / "archive" / "dicom", work)
        rates = [max(d, e) / b for d, e, b in zip(times["decoding"], times["engine"], times["batch"], strict=True)]
        both = [(d + e) / b for d, e, b in zip(times["decoding"], times["engine"], times["batch"], strict=True)]
        result |= {name: round(statistics.median(found), 2) for name, found in times.items()}
        result |= {"of_slower": round(statistics.median(rates), 3), "of_both": round(statistics.median(both), 3)}
        goals.append(
            (
                "batch, of the slower of decoding and engine",
                result["of_slower"],
                "≥ 0.90",
                result["of_slower"] >= OF_SLOWER,
            )
        )
    if given.only in (None, "memory"):
        sizes: dict[int, list[int]] = {FEW: [], MANY: []}
        for files in sizes:
            if not (work / f"of-{files}").exists():
                multiplied(work / "little" / "dicom", work / f"of-{files}", files)
        for _ in range(ROUNDS):
            for files, found in sizes.items():
                found.append(memory(small, work / f"of-{files}", work))
        few, many = (statistics.median(found) for found in sizes.values())
        result |= {"mb_few": round(few / 1024), "mb_many": round(many / 1024), "memory": many / few}
        goals.append(
            ("memory of 20,000 files, times that of 1,000", result["memory"], "≤ 1.1", result["memory"] <= MEMORY)
        )
    if given.only in (None, "ray"):
        more, same = ray_pace(large, work / "archive" / "dicom", work)
        result |= {f"{name}_more": round(statistics.median(seconds), 2) for name, seconds in more.items()}
        result["of_plain"] = round(statistics.median(p / r for p, r in zip(more["plain"], more["ray"], strict=True)), 3)
        result["same_rows"] = same
        goals.append(
            ("two Ray actors, of the plain batch", result["of_plain"], "≥ 0.85", result["of_plain"] >= OF_PLAIN)
        )
        goals.append(("rows of both that are the same", float(same), "1", same))
    result |= {"goals": goals, "holds": all(met for *_, met in goals)}
    if given.work is None:
        shutil.rmtree(work)
    if given.write:
        given.write.write_text(page(result), encoding="utf-8")
    print(json.dumps(result))
    return 0 if result["holds"] else 1


def page(found: dict[str, Any]) -> str:
    """The page of a whole run."""
    series = f"{PATIENTS} series of {SLICES} slices of {SIDE}²"
    lines = [
        "# A batch beside what it cannot do without",
        "",
        "Written by `python benchmarks/batch.py --write docs/results/batch.md`.",
        f"Measured on: {found['machine']}; load before: {found['load']}.",
        "",
        "| | measured | goal | |",
        "|---|---:|---:|---|",
        *(
            f"| {what} | {value:.3f} | {goal} | {'met' if met else 'missed'} |"
            for what, value, goal, met in found["goals"]
        ),
        "",
        f"Made head CT, uncompressed; medians of {ROUNDS} interleaved rounds ({PACED} for the first row), and of",
        "quotients within a round.",
        "",
        "| | | |",
        "|---|---|---:|",
        f"| decoding alone | {series}, s | {found['decoding']} |",
        f"| ResNet-18 alone, one case after another | of the same, s | {found['engine']} |",
        f"| the batch, from files to table | of the same, s | {found['batch']} |",
        f"| both floors together, of the batch | | {found['of_both']} |",
        f"| most memory of a batch of {FEW:,} files | small network, MB | {found['mb_few']} |",
        f"| most memory of a batch of {MANY:,} files | small network, MB | {found['mb_many']} |",
        f"| plain batch, longer for four archives than for one | three times the same, s | {found['plain_more']} |",
        f"| two Ray actors, longer for four archives than for one | three times the same, s | {found['ray_more']} |",
        "",
        "The start of Ray is in neither of the last two rows.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
