"""What HTTP, queue and sandbox cost beside the bare engine, and what the usual way costs (make bench-service).

Networks with random weights on made CT slices of 512². The service is `insula serve` over the loopback, its clients are
a process of their own. Beside it stands the bare loop: read a file, prepare it, run the engine. Rounds are interleaved.

Goals: with 16 clients at least 0.90 of the bare loop's throughput; at half of the service's throughput a 99th
percentile of at most 3 times one turn of the bare loop; one client's prediction, with heat map and 30 dropout passes,
in at most 1.15 times a turn; 5 times the throughput of Flask, gunicorn, PyTorch as it is, a map by gradients and 30
passes of the whole network, asked for the same; ready within 1.5 s plus the time that loading the model takes.

`--quick` takes a minute and judges nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from insula.core import recipe as recipes
from insula.core.recipe import Recipe

HERE = Path(__file__).parent
NETWORKS = ("resnet50", "efficientnet_b0")
CLIENTS, SIDE = 16, 224
GOALS = {"throughput": 0.90, "p99_at_half": 3.0, "single": 1.15, "times_usual": 5.0, "ready_s": 1.5}
AT_LEAST = ("throughput", "times_usual")


@dataclass(frozen=True)
class Size:
    """How much is measured: rounds of so many seconds a side, seconds at half load, single and usual requests."""

    rounds: int
    seconds: float
    half: float
    single: int
    usual: int
    starts: int


FULL = Size(rounds=5, seconds=5.0, half=40.0, single=40, usual=8, starts=3)
QUICK = Size(rounds=1, seconds=2.0, half=4.0, single=6, usual=2, starts=1)


def recipe_of(encoder: str) -> Recipe:
    return recipes.load("stroke-ct", (f"model.encoder={encoder}", "model.pretrained=false", "policy.passes=30"))


def bundled(folder: Path, encoder: str) -> Path:
    """A bundle with random weights and a made baseline of the size that a training run leaves."""
    import torch
    from safetensors.torch import save as save_tensors

    from insula.bundle.save import save
    from insula.bundle.types import Baseline, DecisionFacts, Parts
    from insula.export.onnx import head_graph, model_graph
    from insula.infer.suitable_statistics import width
    from insula.model.network import Network

    recipe = recipe_of(encoder)
    shapes = {recipe.role: (1, SIDE, SIDE)}
    torch.manual_seed(0)
    network = Network(recipe, shapes).eval()
    size, classes, draw = network.heads.in_features, recipe.target.classes, np.random.default_rng(0)
    baseline = Baseline(
        patients=(),
        files=(),
        salt="00" * 16,
        split_level="patient",
        patient_ids=True,
        class_counts=dict.fromkeys(classes, 500),
        embedding_mean=np.zeros(size),
        embedding_precision=np.eye(size),
        distances=np.linspace(0.1, 100.0, 200),
        pixel_mean=0.4,
        pixel_std=0.2,
        neighbours=draw.normal(0, 1, (400, size)).astype(np.float16),
        pictures={recipe.role: (np.zeros(width(1)), np.eye(width(1)))},
        scale=np.tile([0.0, 1e6], (4, 1)),
        scaled=np.linspace(0.0, 1.0, 200),
    )
    parts = Parts(
        recipe=recipe,
        model_onnx=model_graph(network, shapes),
        head_onnx=head_graph(network),
        weights=save_tensors({name: value.contiguous() for name, value in network.state_dict().items()}),
        decision=DecisionFacts(dict.fromkeys(classes, 0.5), 1.0, (0.9,) * len(classes)),
        baseline=baseline,
        metrics={},
        model_card="# Random weights\n\nResearch use only.\n",
        provenance={"made": "by a benchmark"},
    )
    return save(folder / encoder, parts).path


class Bare:
    """The engine in a loop of its own: read, prepare, run."""

    def __init__(self, bundle: Path, files: Sequence[Path]) -> None:
        from insula.bundle.load import load
        from insula.infer.blas import one_thread
        from insula.infer.decide import decide
        from insula.infer.feed import of_case
        from insula.infer.predict import Predictor
        from insula.scans.read import read_files

        one_thread()
        self.files, self.of_case, self.read, self.decide = files, of_case, read_files, decide
        self.predictor = Predictor(load(bundle), os.cpu_count(), spins=False)  # as the service runs it
        self.recipe, self.engine = self.predictor.bundle.recipe, self.predictor.engine

    def turn(self, number: int) -> tuple[float, float]:
        """Seconds of one turn, and of the engine in it."""
        begun = time.perf_counter()
        slices, _ = self.predictor.prepare(self.read([self.files[number % len(self.files)]]))
        feed = self.of_case({self.recipe.role: (slices,)}, (), self.engine.input_shapes, self.recipe)
        ready = time.perf_counter()
        self.engine.run(feed)
        ended = time.perf_counter()
        return ended - begun, ended - ready

    def whole(self, number: int) -> float:
        """Seconds of the whole answer as /predict gives it: with map, passes, distances and decision."""
        begun = time.perf_counter()
        slices, said = self.predictor.prepare(self.read([self.files[number % len(self.files)]]))
        asked = (self.recipe.policy.refer.by,)
        self.decide(self.predictor.from_slices(slices, "upload", 0, said, None, asked), self.predictor.bundle)
        return time.perf_counter() - begun

    def loop(self, seconds: float) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            found.append(self.turn(len(found)))
        return found


@contextmanager
def started(command: list[str], environment: dict[str, str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, env=os.environ | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def service(bundle: Path) -> Iterator[tuple[int, float]]:
    """Port of a service on the bundle, and the seconds from its start until it says that it listens."""
    begun = time.perf_counter()
    insula = str(Path(sys.executable).with_name("insula"))
    with started([insula, "serve", str(bundle), "--port", "0"], {"INSULA_QUEUE": "64"}) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - begun
        yield int(line.split("http://127.0.0.1:")[1].split()[0]), took


@contextmanager
def usual(encoder: str) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--workers", str(os.cpu_count() or 1), "--timeout", "300"]
    command += ["--bind", f"127.0.0.1:{port}", "service_usual:app"]
    with started(command, {"BENCH_ENCODER": encoder, "OMP_NUM_THREADS": "1"}, cwd=HERE):
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60).read()
                break
            except OSError:
                time.sleep(0.2)
        yield port


@contextmanager
def empty() -> Iterator[int]:
    """The same server with nothing behind it."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "service_empty:app", "--port", str(port), "--log-level", "critical"]
    with started([*command, "--no-access-log"], {}, cwd=HERE):
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60).read()
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        yield port


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as place:
        return int(place.getsockname()[1])


def load(port: int, files: Sequence[Path], path: str, clients: int, **how: Any) -> dict[str, Any]:
    job = {"port": port, "files": [str(f) for f in files], "path": path, "clients": clients, "pace": 0.0, **how}
    command = [sys.executable, str(HERE / "service_load.py"), json.dumps(job)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert set(found["statuses"]) <= {"200"}, found["statuses"]
    return found


_LOAD = """
import sys, time
from pathlib import Path
from insula.bundle.load import load
from insula.infer.engine import Engine
begun = time.perf_counter()
Engine(load(Path(sys.argv[1]))).warm()
print(time.perf_counter() - begun)
"""


def model_load(bundle: Path) -> float:
    """Seconds that verifying, loading and warming the model takes by itself."""
    command = [sys.executable, "-c", _LOAD, str(bundle)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(bundle: Path, encoder: str, files: Sequence[Path], size: Size) -> dict[str, float]:
    ready = []
    for _ in range(size.starts):
        plain = model_load(bundle)
        with service(bundle) as (_, took):
            ready.append(took - plain)
    bare = Bare(bundle, files)
    bare.loop(1.0)
    shares, turns, engines, alone, whole, rates = [], [], [], [], [], []
    with service(bundle) as (port, _):
        load(port, files, "/predict", CLIENTS, seconds=2.0)
        for _ in range(size.rounds):
            found = bare.loop(size.seconds)
            turns += [t for t, _ in found]
            engines += [e for _, e in found]
            over = load(port, files, "/predict", CLIENTS, seconds=size.seconds)
            rates.append(len(over["seconds"]) / over["took"])
            shares.append(rates[-1] / (len(found) / sum(t for t, _ in found)))
            for number in range(-(-size.single // size.rounds)):
                turn, _ = bare.turn(number)
                one = load(port, files, "/predict?uncertainty=true", 1, requests=4)["seconds"][1:]
                alone.append(statistics.median(one) / turn)
                whole.append(bare.whole(number) / turn)
        pace = max(statistics.median(rates) / 2, 0.5)  # 0 would mean as fast as can be
        half = load(port, files, "/predict", CLIENTS, seconds=size.half, pace=pace)["seconds"]
        turn = statistics.median(turns)
        ours = load(port, files, "/predict?uncertainty=true", 4, requests=size.usual * 10)
        print(f"{encoder}: {len(half)} requests at half load", file=sys.stderr)
    with empty() as port:
        load(port, files, "/predict", CLIENTS, seconds=1.0)
        nothing = statistics.median(load(port, files, "/predict", 1, requests=size.single)["seconds"])
    with usual(encoder) as port:
        load(port, files, "/predict", 2, requests=2)
        theirs = load(port, files, "/predict", 4, requests=size.usual)
    return {
        "throughput": statistics.median(shares),
        "p99_at_half": float(np.quantile(half, 0.99)) / turn,
        "p99_of_engine_alone": float(np.quantile(half, 0.99)) / statistics.median(engines),
        "p99_of_ideal": waited(pace, turn, size.half) / turn,
        "single": statistics.median(alone),
        "single_here": statistics.median(whole),
        "single_floor": (turn + nothing) / turn,
        "times_usual": (len(ours["seconds"]) / ours["took"]) / (len(theirs["seconds"]) / theirs["took"]),
        "ready_s": statistics.median(ready),
        "requests_a_second": statistics.median(rates),
        "turn_ms": 1000 * turn,
        "engine_ms": 1000 * statistics.median(engines),
        "usual_a_second": len(theirs["seconds"]) / theirs["took"],
    }


def waited(pace: float, turn: float, seconds: float) -> float:
    """99th percentile (s) of a server that needs a turn for each request and nothing beside, at the same arrivals."""
    gap, free, found = CLIENTS / pace, 0.0, []
    firsts = [random.Random(number).random() * gap for number in range(CLIENTS)]
    for due in sorted(first + k * gap for first in firsts for k in range(int(seconds / gap) + 1)):
        free = max(free, due) + turn
        found.append(free - due)
    return float(np.quantile(found, 0.99))


def scans(folder: Path) -> list[Path]:
    """16 made CT slices of 512² as DICOM files, each of another patient."""
    from insula.cohort.phantom.make import make

    make("stroke-ct", folder, CLIENTS, 0, 512, 8)
    series: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*.dcm")):
        series.setdefault(path.parent, []).append(path)
    return [found[len(found) // 2] for found in series.values()][:CLIENTS]


def met(name: str, value: float) -> bool:
    return value >= GOALS[name] if name in AT_LEAST else value <= GOALS[name]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a few requests of each kind, and no judgement")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page of docs/results")
    given = parser.parse_args()
    from machine import described

    cores, before = os.cpu_count() or 1, os.getloadavg()[0]
    work = Path(tempfile.mkdtemp(prefix="insula-bench-"))
    try:
        files = scans(work / "scans")
        figures = {}
        for encoder in NETWORKS:
            bundle = bundled(work, encoder)
            figures[encoder] = measure(bundle, encoder, files, QUICK if given.quick else FULL)
    finally:
        shutil.rmtree(work)
    print(f"{described(cores)}; load before {before:.1f}; {CLIENTS} clients, {(QUICK if given.quick else FULL)}")
    print(f"{'':<24}{'goal':>8}" + "".join(f"{name:>18}" for name in NETWORKS))
    for name in next(iter(figures.values())):
        goal = f"{'≥' if name in AT_LEAST else '≤'} {GOALS[name]:g}" if name in GOALS else ""
        print(f"{name:<24}{goal:>8}" + "".join(f"{figures[n][name]:>18.3f}" for n in NETWORKS))
    holds = all(met(name, one[name]) for one in figures.values() for name in GOALS)
    rounded = {encoder: {name: round(value, 3) for name, value in one.items()} for encoder, one in figures.items()}
    told = {"bench": "service", "machine": described(cores), "load": before, "quick": given.quick}
    print(json.dumps({**told, "figures": rounded, "goals": GOALS, "holds": holds}))
    if given.write:
        given.write.write_text(page(figures, f"{described(cores)}; load before {before:.1f}"), encoding="utf-8")
    return 0 if holds or given.quick else 1


SAID = {
    "throughput": f"cases a second over HTTP, {CLIENTS} clients, of the bare loop (read, prepare, run)",
    "p99_at_half": "99th percentile at half that load, in turns of the bare loop",
    "p99_of_engine_alone": "the same, in runs of the engine alone",
    "p99_of_ideal": "the same arrivals at a server that needs one turn a request and nothing beside (computed)",
    "single": "one request with map and 30 dropout passes, in turns of the bare loop",
    "single_here": "the same answer in one process, without HTTP and without a process for decoding, in turns",
    "single_floor": "a turn and, beside it, one request to the same server with nothing behind it, in turns",
    "times_usual": "cases a second, of Flask, gunicorn, eager PyTorch, gradient map and 30 full passes",
    "ready_s": "seconds from the start until it listens, beyond loading and warming the model",
    "requests_a_second": f"cases a second, {CLIENTS} clients",
    "turn_ms": "ms of a turn of the bare loop",
    "engine_ms": "ms of the engine in it",
    "usual_a_second": "cases a second of the usual way",
}


def page(figures: dict[str, dict[str, float]], machine: str) -> str:
    """The table of all figures with their goals."""
    names = list(figures)
    lines = [
        "# The service beside the bare engine",
        "",
        "Written by `python benchmarks/service.py --write docs/results/service.md`; clients, service and bare loop",
        f"share one machine: {machine}. Random weights, CT slices of 512² as DICOM, sides in turn in one run.",
        "",
        "| | goal | " + " | ".join(names) + " | |",
        "|---|---|" + "---:|" * len(names) + "---|",
    ]
    for name, said in SAID.items():
        goal = f"{'≥' if name in AT_LEAST else '≤'} {GOALS[name]:g}" if name in GOALS else ""
        held = all(met(name, figures[n][name]) for n in names) if name in GOALS else None
        word = "" if held is None else "met" if held else "missed"
        lines.append(f"| {said} | {goal} | " + " | ".join(f"{figures[n][name]:.2f}" for n in names) + f" | {word} |")
    return "\n".join([*lines, "", *WHY, ""])


WHY = (
    "With these arrivals a server that needs exactly one turn for each request has its 99th percentile where the",
    "computed row says: 3 turns leave next to nothing for HTTP, decoding in another process and the evidence. Of a",
    "single answer the row of one process says what map, passes, distances and decision cost; the rest is HTTP and",
    "the way to the decoder. All of it is some milliseconds whatever the network, and weighs least beside a large",
    "one. Throughput lacks what these milliseconds, and the clients on the same cores, are of a turn.",
)


if __name__ == "__main__":
    raise SystemExit(main())
