"""What one study costs one core, by its parts, and what is kept of it (make bench-study-cost).

Made head CT (512², 30 slices) in three transfer syntaxes through the code that predicts: its directory is looked
through, the files are read and decoded, prepared, run through each network, answered, written into the record; pictures
of its heat on top. One core, one thread, rounds interleaved; medians of processor time, which a busy machine changes
less than the clock. Files come from the page cache: what a disk or a network gives is the plan's business. Beside the
parts stands the whole batch on that core, whose further cost is the way between its processes.

Then what one driver holds for many studies (`study_record.py`). `--write FILE` (docs/results/study-cost.json unless
told) is what `scripts/capacity_plan.py` reads.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import study_record
import torch
from batch import bundled
from ingest_sides import store
from machine import described

from explain import session, without_maps
from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.cohort.phantom.make import make
from insula.core import recipe as recipes
from insula.export import quantise
from insula.export.onnx import head_graph, model_graph
from insula.infer import batch_rows
from insula.infer.archive_store import directories
from insula.infer.batch import batch
from insula.infer.batch_items import of_directory, of_folder
from insula.infer.decide import decide
from insula.infer.engine import Engine
from insula.infer.feed import of_case
from insula.infer.heatmap import write_case
from insula.infer.predict import Predictor
from insula.model.network import Network
from insula.scans import attributes
from insula.scans.read import read_files
from insula.scans.sandbox import Sandbox

ROUNDS, STUDIES, SLICES, SIDE, OVERLAYS = 5, 3, 30, 512, 3
SYNTAXES = ("uncompressed", "JPEG-LS", "JPEG 2000")
NETWORKS = ("simple_cnn", "resnet18", "resnet50", "efficientnet_b0")
INTEGERS = ("resnet18", "resnet50")
NETWORK = "simple_cnn"  # of the whole batch: the smallest, beside which what is not in the parts is best seen
CHOSEN = ("find", "read, uncompressed", "prepare", f"engine, {NETWORK}", "answer", "record")  # what it goes through
OF_WHOLE = 0.7  # goal: what the parts explain of the whole batch's processor time
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results" / "study-cost.json"
Side = Callable[[], object]


@contextlib.contextmanager
def one_core() -> Iterator[int]:
    """This process, and those that it starts, on one core for this while."""
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def of_children() -> float:
    """Processor time in seconds of all processes that this one started and still has, or has waited for."""
    done = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = done.ru_utime + done.ru_stime
    pids = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def interleaved(sides: dict[str, Side], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of (processor, clock) of each side in each round, after one that does not count."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            begun, used = time.perf_counter(), time.process_time()
            side()
            if number:
                found[name].append((time.process_time() - used, time.perf_counter() - begun))
    return found


def engines(feed: dict[str, Any]) -> dict[str, tuple[Engine, bytes]]:
    """Each network's engine on one thread with its graph, random weights; `, 8-bit integers` in its name where so."""
    found = {}
    for encoder in NETWORKS:
        recipe = recipes.load("haemorrhage-ct", (f"model.encoder={encoder}", "model.pretrained=false"))
        shapes = {recipe.role: tuple(feed[recipe.role].shape[2:])}
        torch.manual_seed(0)
        network = Network(recipe, shapes).eval()
        graph, head = model_graph(network, shapes), head_graph(network)
        found[encoder] = (Engine.of_graphs(graph, head, recipe, 1), graph)
        if encoder in INTEGERS:
            few = {recipe.role: feed[recipe.role][:, :4], f"{recipe.role}_mask": feed[f"{recipe.role}_mask"][:, :, :4]}
            small = quantise.quantised(quantise.prepared(graph), [few])
            found[f"{encoder}, 8-bit integers"] = (Engine.of_graphs(small, head, recipe, 1), small)
    return found


def parts(bundle: Bundle, series: dict[str, list[Path]], work: Path) -> tuple[dict[str, Side], dict[str, Any]]:
    """Each part of a study's work as a function, and the bytes that are kept of it."""
    recipe, files = bundle.recipe, series["uncompressed"]
    root = files[0].parent.parent
    unit = next(iter(directories(str(files[0].parent))))
    predictor = Predictor(bundle, 1)
    volume = read_files(files)
    slices, warnings = predictor.prepare(volume)
    views = {recipe.role: (slices,)}
    feed = of_case(views, (), predictor.engine.input_shapes, recipe)
    outputs = predictor.engine.run(feed)
    given = Predictor(bundle, 1)
    # the answer alone: what the engine gives lies ready
    given.engine = SimpleNamespace(  # type: ignore[assignment]
        run=lambda _: outputs, input_shapes=predictor.engine.input_shapes
    )
    item = next(of_directory(root, files[0].parent, unit.names, recipe))
    prediction = predictor.from_slices(views, item.case.key, 0, warnings)
    heat = work / "heat"
    shutil.rmtree(heat, ignore_errors=True)
    heat.mkdir(parents=True)
    drawn = write_case(prediction, views, heat, recipe, top=OVERLAYS)
    made = engines(feed)
    plain = session(made["resnet18"][1], 1), session(without_maps(made["resnet18"][1]), 1)
    fed = {
        name: np.ascontiguousarray(array[:, :16] if array.ndim == 5 else array[:, :, :16])
        for name, array in feed.items()
    }

    def decoded(name: str) -> Side:
        def side() -> object:
            attributes.forget()
            return read_files(series[name])

        return side

    def looked_through() -> object:
        attributes.forget()
        return list(of_directory(root, files[0].parent, unit.names, recipe))

    def answered() -> object:
        found = given.from_slices(views, item.case.key, 0, warnings)
        return batch_rows.answered(found, decide(found, bundle))

    sides: dict[str, Side] = {
        "find": looked_through,
        **{f"read, {name}": decoded(name) for name in series},
        "prepare": lambda: predictor.prepare(volume),
        **{f"engine, {name}": (lambda engine=engine: engine.run(feed)) for name, (engine, _) in made.items()},
        "graph with maps": lambda: plain[0].run(None, fed),
        "graph without maps": lambda: plain[1].run(None, fed),
        "answer": answered,
        "evidence": lambda: write_case(prediction, views, heat, recipe, top=OVERLAYS),
    }
    kept = {
        **{f"archive, {name}": sum(path.stat().st_size for path in paths) for name, paths in series.items()},
        "prepared": slices.nbytes,
        "class maps": sum(one.array.nbytes for one in prediction.heatmaps.values()),
        "embedding": prediction.embedding.nbytes,
        "evidence": sum(path.stat().st_size for path in drawn),
        "pictures": len(drawn),
    }
    return sides, kept


def whole(bundle: Bundle, archive: Path, work: Path, rounds: int) -> tuple[float, float]:
    """Seconds of (processor, clock) a study of the batch on this core, with its decoding process."""
    found: list[tuple[float, float]] = []
    with Sandbox(1).start() as pool:
        predictor = Predictor(bundle, 1, pool.read_files)
        for number in range(rounds + 1):
            out = work / "whole.parquet"
            out.unlink(missing_ok=True)
            begun, used = time.perf_counter(), time.process_time() + of_children()
            counts = batch(predictor, of_folder(archive, bundle.recipe), archive, out, readers=1)
            spent = time.process_time() + of_children() - used
            if number:
                found.append((spent / counts.rows, (time.perf_counter() - begun) / counts.rows))
    return middle(found)


def opens(sides: list[Side], name: str) -> float:
    """How often a file of this suffix is opened in these parts, for each slice."""
    seen: list[str] = []
    on = [True]

    def heard(event: str, given: Any) -> None:
        if event == "open" and on[0] and str(given[0]).endswith(name):
            seen.append(name)

    sys.addaudithook(heard)  # for good: it is told to keep quiet afterwards
    for side in sides:
        side()
    on[0] = False
    return len(seen) / SLICES


def middle(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """The medians of (processor, clock)."""
    return statistics.median(p for p, _ in pairs), statistics.median(c for _, c in pairs)


def measured(work: Path, rounds: int) -> dict[str, Any]:
    """Everything that the plan reads."""
    load_before = os.getloadavg()[0]
    if not (work / "model" / "bundle").exists():
        shutil.rmtree(work / "model", ignore_errors=True)
        (work / "model").mkdir()
        bundled(work / "model", NETWORK)
    bundle = load(work / "model" / "bundle")
    if not (work / "archive").exists():
        shutil.rmtree(work / "archive.new", ignore_errors=True)
        make("haemorrhage-ct", work / "archive.new", STUDIES, 0, SIDE, SLICES)
        (work / "archive.new").rename(work / "archive")
    archive = work / "archive" / "dicom"
    source = sorted(next(path for path in sorted(archive.iterdir()) if path.is_dir()).rglob("*.dcm"))
    shutil.rmtree(work / "series", ignore_errors=True)
    (work / "series").mkdir()
    series = {name: store(source, name, work / "series" / name) for name in SYNTAXES}
    with one_core():
        record = study_record.measured(bundle, work / "record", next(of_folder(archive, bundle.recipe)))
        print("record measured", file=sys.stderr, flush=True)
        sides, kept = parts(bundle, series, work)
        each = interleaved(sides, rounds)
        with_maps, without = (each.pop(f"graph {kind} maps") for kind in ("with", "without"))
        maps = statistics.median(a[0] / b[0] for a, b in zip(with_maps, without, strict=True)) - 1.0
        times = {name: middle(pairs) for name, pairs in each.items()}
        print("parts measured", file=sys.stderr, flush=True)
        one_batch = whole(bundle, archive, work, rounds)
        print("whole batch measured", file=sys.stderr, flush=True)
        record["opens"] = opens([sides["find"], sides["read, uncompressed"]], ".dcm")
    seconds = {name: round(processor, 5) for name, (processor, _) in times.items()}
    seconds["record"] = round(record["row_seconds"] + record["table_seconds"], 6)
    known = sum(seconds[one] for one in CHOSEN)
    seconds["between processes"] = round(max(0.0, one_batch[0] - known), 5)
    return {
        "bench": "study-cost",
        "machine": described(1, f"PyTorch {torch.__version__}"),
        "load": round(load_before, 2),
        "provider": Engine(bundle, 1).provider,
        "rounds": rounds,
        "slices": SLICES,
        "side": SIDE,
        "seconds": seconds,
        "clock": {name: round(clock, 5) for name, (_, clock) in times.items()},
        "maps": round(maps, 4),
        "batch": {"network": NETWORK, "seconds": round(one_batch[0], 5), "clock": round(one_batch[1], 5)},
        "of_whole": round(known / one_batch[0], 3),
        "bytes": {**kept, "journal": record.pop("journal_bytes"), "row": record.pop("row_bytes")},
        "record": record,
    }


def table(found: dict[str, Any]) -> list[str]:
    """The figures as lines for a person."""
    lines = [f"{found['machine']}; load before: {found['load']}; medians of {found['rounds']} rounds", ""]
    lines += [f"{name:<36} {value * 1e3:>10.2f} ms" for name, value in found["seconds"].items()]
    lines += [f"{f'whole batch, {NETWORK}':<36} {found['batch']['seconds'] * 1e3:>10.2f} ms"]
    lines += [f"{'class maps, of the network':<36} {found['maps']:>10.2%}", ""]
    lines += [f"{name:<36} {value:>12,.0f}" for name, value in found["bytes"].items()]
    return lines + [f"{name:<36} {value:>12,.6g}" for name, value in found["record"].items() if value is not None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, help="Kept for the next run; a temporary folder unless told.")
    parser.add_argument("--write", type=Path, default=PAGE, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    work = given.work or Path(tempfile.mkdtemp(prefix="insula-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    found = measured(work, given.rounds)
    if given.work is None:
        shutil.rmtree(work)
    found |= {"figures": {"of_whole": found["of_whole"]}, "goals": {"of_whole": OF_WHOLE}}
    found["holds"] = found["of_whole"] >= OF_WHOLE
    given.write.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n".join(table(found)))
    print(json.dumps(found))
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
