"""What safety costs: the service beside a bare app that does the same without any (make bench-safety).

Both get the same DICOM files over HTTP from the same clients and run the same session of the same bundle after the
same preparation. Insula decodes in processes of their own, checks what is sent and answered, holds limits and a queue,
and judges the answer; the bare app (`safety_bare`) does none of that. With records, Insula also asks who is there and
tells its trail. Sides in turn, in one run; all services are up all the time, and one is asked at a time.

Goal: at most 10% fewer cases a second than the bare app, and at most 10% more time for a client that is alone. With
records there is no goal: the bare app keeps nothing.

`--quick` takes two minutes on a machine that does nothing else, and judges nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import service as usual
from machine import described

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.faults.made_serving import serving

HERE = Path(__file__).parent
NETWORKS = ("resnet50", "efficientnet_b0")
CLIENTS = 16
GOALS = {"throughput": 0.90, "alone": 1.10}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Size:
    """Rounds of so many seconds a side, and requests of one client alone in each."""

    rounds: int
    seconds: float
    alone: int


@dataclass(frozen=True)
class Side:
    """A service that is up. headers: that a client shows; pid: of its first process."""

    port: int
    pid: int
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Seen:
    """Of one side in one round: cases a second of many clients, median seconds of one, CPU seconds a case.

    loop, threads, decoders: what of these the first thread took, which speaks HTTP, the others, and other processes.
    """

    rate: float
    alone: float
    loop: float
    threads: float
    decoders: float

    @property
    def cpu(self) -> float:
        """CPU seconds of a case."""
        return self.loop + self.threads + self.decoders


FULL, QUICK = Size(7, 6.0, 30), Size(1, 2.0, 6)


@contextmanager
def bare(bundle: Path) -> Iterator[Side]:
    """The app without safety."""
    port = usual.free_port()
    command = [sys.executable, "-m", "uvicorn", "safety_bare:app", "--port", str(port), "--log-level", "critical"]
    with usual.started([*command, "--no-access-log"], {"BENCH_BUNDLE": str(bundle)}, cwd=HERE) as process:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60).read()
                break
            except OSError:
                time.sleep(0.1)
        yield Side(port, process.pid)


@contextmanager
def insula(folder: Path, bundle: Path, records: bool) -> Iterator[Side]:
    """The service as it is."""
    folder.mkdir()
    with serving(folder, bundle, records, QUEUE="64", threads=0) as site:
        yield Side(site.port, site.process.pid, site.bearer())


def cpu(pid: int) -> tuple[float, float, float]:
    """Seconds of processor time: of a process's first thread, of its other threads, and of its children."""
    whole, first, children = _spent(Path("/proc", str(pid))), _spent(Path("/proc", str(pid), "task", str(pid))), 0.0
    waiting = _children(pid)
    while waiting:
        one = waiting.pop()
        children += _spent(Path("/proc", str(one)))
        waiting += _children(one)
    return first, whole - first, children


def _spent(place: Path) -> float:
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _children(pid: int) -> list[int]:
    return [
        int(n) for task in Path("/proc", str(pid), "task").iterdir() for n in (task / "children").read_text().split()
    ]


def look(side: Side, files: Sequence[Path], size: Size) -> Seen:
    """One side in one round; a round in which a busy machine answered nothing is asked again, for twice as long."""
    cases, seconds = 0, size.seconds
    while not cases:
        before = cpu(side.pid)
        many = usual.load(side.port, files, "/predict", CLIENTS, seconds=seconds, headers=dict(side.headers))
        spent = [after - then for after, then in zip(cpu(side.pid), before, strict=True)]
        cases, seconds = len(many["seconds"]), 2 * seconds
    one = usual.load(side.port, files, "/predict", 1, requests=size.alone, headers=dict(side.headers))["seconds"]
    asked = sum(many["statuses"].values())
    return Seen(cases / many["took"], statistics.median(one), *(part / asked for part in spent))


def measure(work: Path, encoder: str, files: Sequence[Path], size: Size) -> dict[str, float]:
    """Medians over rounds; what is compared is compared within a round."""
    bundle = usual.bundled(work, encoder)
    with (
        bare(bundle) as theirs,
        insula(work / f"{encoder}-plain", bundle, False) as plain,
        insula(work / f"{encoder}-records", bundle, True) as records,
    ):
        sides = {"bare": theirs, "plain": plain, "records": records}
        for side in sides.values():
            look(side, files, QUICK)
        rounds = []
        for number in range(size.rounds):
            order = list(sides)[number % 3 :] + list(sides)[: number % 3]
            rounds.append({name: look(sides[name], files, size) for name in order})
    found = {
        f"{what}{end}": statistics.median(getattr(one[name], kind) / getattr(one["bare"], kind) for one in rounds)
        for end, name in (("", "plain"), ("_records", "records"))
        for what, kind in (("throughput", "rate"), ("alone", "alone"), ("cpu", "cpu"))
    }
    for name in sides:
        found[f"{name}_a_second"] = statistics.median(one[name].rate for one in rounds)
        found[f"{name}_alone_ms"] = 1000 * statistics.median(one[name].alone for one in rounds)
        for what in ("cpu", "loop", "threads", "decoders"):
            found[f"{name}_{what}_ms"] = 1000 * statistics.median(getattr(one[name], what) for one in rounds)
    return found


def met(name: str, value: float) -> bool:
    """Whether a figure reaches its goal."""
    return value >= GOALS[name] if name == "throughput" else value <= GOALS[name]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a few requests of each kind, and no judgement")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page of docs/results")
    given = parser.parse_args()
    size, cores, before = QUICK if given.quick else FULL, os.cpu_count() or 1, os.getloadavg()[0]
    work = Path(tempfile.mkdtemp(prefix="insula-bench-"))
    try:
        files = usual.scans(work / "scans")
        figures = {encoder: measure(work, encoder, files, size) for encoder in NETWORKS}
    finally:
        shutil.rmtree(work)
    machine = f"{described(cores)}; load before {before:.1f}"
    print(machine)
    for name in next(iter(figures.values())):
        print(f"{name:<24}" + "".join(f"{figures[n][name]:>18.3f}" for n in NETWORKS))
    holds = all(met(name, one[name]) for one in figures.values() for name in GOALS)
    rounded = {encoder: {name: round(value, 3) for name, value in one.items()} for encoder, one in figures.items()}
    told = {"bench": "safety", "machine": machine, "quick": given.quick}
    print(json.dumps({**told, "figures": rounded, "goals": GOALS, "holds": holds}))
    if given.write:
        given.write.write_text(page(figures, machine), encoding="utf-8")
    return 0 if holds or given.quick else 1


SAID = {
    "throughput": f"cases a second, {CLIENTS} clients, of the bare app's",
    "alone": "time of a client that is alone, of the bare app's",
    "cpu": "processor time of a case, of the bare app's",
    "throughput_records": "with records: cases a second, of the bare app's",
    "alone_records": "with records: time of a client that is alone, of the bare app's",
    "cpu_records": "with records: processor time of a case, of the bare app's",
    "bare_a_second": "bare app: cases a second",
    "plain_a_second": "Insula: cases a second",
    "records_a_second": "Insula with records: cases a second",
    "bare_alone_ms": "bare app: ms of a client that is alone",
    "plain_alone_ms": "Insula: ms of a client that is alone",
    "records_alone_ms": "Insula with records: ms of a client that is alone",
    **{
        f"{name}_{what}_ms": f"{side}: {said}"
        for name, side in (("bare", "bare app"), ("plain", "Insula"), ("records", "Insula with records"))
        for what, said in (
            ("cpu", "ms of processor time a case"),
            ("loop", "of these, of the thread that speaks HTTP"),
            ("threads", "of these, of the network and all else in the same process"),
            ("decoders", "of these, of the processes that decode"),
        )
    },
}


def page(figures: dict[str, dict[str, float]], machine: str) -> str:
    """The table of all figures with their goals."""
    names = list(figures)
    lines = [
        "# What safety costs",
        "",
        "Written by `python benchmarks/safety.py --write docs/results/safety.md`. The service beside a bare app of",
        "FastAPI, pydicom and ONNX Runtime that gets the same files, prepares them by the same functions and runs the",
        "same session, with no checks, no limits, no processes for decoding and no records. Clients and services share",
        "one machine:",
        f"{machine}. Random weights, CT slices of 512² as DICOM, sides in turn in one run. What is of the bare",
        f"app's is a quotient within a round, its median over {FULL.rounds} rounds; all other rows are medians of one",
        "side, whose quotients need not be the same where the pace of the machine wanders from round to round.",
        "",
        "| | goal | " + " | ".join(names) + " | |",
        "|---|---|" + "---:|" * len(names) + "---|",
    ]
    for name, said in SAID.items():
        goal = f"{'≥' if name == 'throughput' else '≤'} {GOALS[name]:.2f}" if name in GOALS else ""
        word = ("met" if all(met(name, figures[n][name]) for n in names) else "missed") if name in GOALS else ""
        lines.append(f"| {said} | {goal} | " + " | ".join(f"{figures[n][name]:.2f}" for n in names) + f" | {word} |")
    return "\n".join([*lines, "", *WHY, ""])


WHY = (
    "What Insula does beside the bare app costs the same few milliseconds whatever the network is (the rows of",
    "processor time: HTTP with its limits, decoding in other processes, and in the network's own the map, the passes,",
    "the distances from training and the decision). It weighs less the larger the network is, and nothing of it can",
    "be left out without leaving out what it is for. An event loop in C (uvloop) made no difference that could be",
    "told from the noise. With records each request also asks who calls and writes to the trail before it is",
    "answered.",
)


if __name__ == "__main__":
    raise SystemExit(main())
