"""Write docs/scale.md: from the measured cost of one study to a hospital, a region and a national archive.

    .venv/bin/python scripts/capacity_plan.py      # or: make docs/scale.md

Reads docs/results/study-cost.json (make bench-study-cost). Everything else is an option, and an assumption that
the page names. The same costs, options and seed give the same page.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import capacity_archive as archive
import capacity_page as page
import capacity_queue as queue
import numpy as np
from capacity_costs import KEPT, NETWORKS, SYNTAXES, work_of
from capacity_queue import DAY, HOUR, Floats, Outage, Studies
from scipy.stats import t as student

ROOT = Path(__file__).resolve().parents[1]
COSTS = ROOT / "docs" / "results" / "study-cost.json"
MIDDLE, HEAVY = "resnet18", "resnet50"
SERVICE = 1 + 8  # INSULA_WORKERS and INSULA_QUEUE as they are unless set
MBIT = 1e6 / 8
RUNS = 16  # against closed forms


@dataclass(frozen=True)
class Told:
    """Waits of many studies: seconds at the middle, 95%, 99%, worst; share of the cores' time; share refused."""

    middle: float
    most: float
    nearly_all: float
    worst: float
    load: float = 0.0
    refused: float = 0.0


def told(waits: Floats, load: float = 0.0) -> Told:
    """What waits come to; NaN for a study that was refused."""
    there = waits[np.isfinite(waits)]
    levels = np.quantile(there, [0.5, 0.95, 0.99, 1.0]) if len(there) else np.full(4, np.nan)
    return Told(*(float(level) for level in levels), load, 1.0 - len(there) / max(1, len(waits)))


def studies(
    costs: dict[str, Any], o: argparse.Namespace, per_day: float, days: int, network: str, syntax: str
) -> Studies:
    """Days of a hospital's or a region's studies, drawn with the option's seed."""
    generator = np.random.default_rng(o.seed)
    arrival = queue.profile_arrivals(per_day, days, generator)
    size = float(costs["bytes"][f"archive, {syntax}"])
    return queue.drawn(arrival, work_of(costs, network, syntax), size, o.spread, o.urgent, generator)


def closed(seed: int) -> list[tuple[str, float, float, float]]:
    """The simulation beside closed forms: which, mean seconds before work begins, half its 95% interval, computed."""
    found = []
    for which, (name, workers, load) in enumerate((("M/M", 1, 0.6), ("M/M", 4, 0.8), ("M/D", 1, 0.6))):
        same = name == "M/D"
        means = [_mean_wait(workers, load, same, np.random.default_rng((seed, which, run))) for run in range(RUNS)]
        exact = queue.constant_work(load, 1.0) if same else queue.erlang_c(load * workers, 1.0, workers)
        half = float(student.ppf(0.975, RUNS - 1) * np.std(means, ddof=1) / np.sqrt(RUNS))
        found.append((f"{name}/{workers} at load {load:g}", float(np.mean(means)), half, exact))
    return found


def _mean_wait(workers: int, load: float, same: bool, generator: np.random.Generator) -> float:
    arrival = np.cumsum(generator.exponential(1.0 / (load * workers), 20_000))
    work = np.ones(len(arrival)) if same else generator.exponential(1.0, len(arrival))
    given = Studies(arrival, work, np.zeros(len(arrival)), np.zeros(len(arrival), bool))
    return float((queue.waits(given, workers) - work).mean())


def hospital(costs: dict[str, Any], o: argparse.Namespace) -> dict[str, Any]:
    """A hospital's studies by network and cores, its bad days, and its growth."""
    days = 20
    by_cores, growth = {}, {}
    for network in NETWORKS:
        some = studies(costs, o, o.studies, days, network, KEPT)
        for cores in (1, 2, 4):
            by_cores[network, cores] = told(queue.waits(some, cores), some.work.sum() / (days * DAY * cores))
    for per_day in (1_000, 5_000, 10_000, 20_000, 40_000):
        span = max(1, min(10, 20_000 // per_day))
        for network in (MIDDLE, HEAVY):
            some = studies(costs, o, per_day, span, network, KEPT)
            growth[network, per_day] = told(queue.waits(some, 1), some.work.sum() / (span * DAY))
    day = studies(costs, o, o.studies, 1, HEAVY, KEPT)
    cut = queue.held_back(day, 7 * HOUR, 11 * HOUR)
    late = (day.arrival >= 7 * HOUR) & (day.arrival < 11 * HOUR)
    bad: dict[str, Any] = {"late": int(late.sum())}
    for name, first in (("first come, first served", False), ("emergencies first", True)):
        waits = queue.waits(cut, 1, urgent_first=first)
        bad[name] = told(waits[late & day.urgent]), told(waits[late & ~day.urgent])
    bad["service"] = {
        "an ordinary day": told(queue.waits(day, 1, places=SERVICE)).refused,
        "the four hours at once": told(queue.waits(cut, 1, places=SERVICE)[late]).refused,
    }
    dead = {}
    for cores in (1, 2):
        fault = Outage(0, 10 * HOUR, HOUR)
        for name, outages in (("none", ()), ("one dies", (fault,))):
            dead[cores, name] = told(queue.waits(day, cores, outages=outages))
    return {"by_cores": by_cores, "growth": growth, "bad": bad, "dead": dead, "days": days}


def region(costs: dict[str, Any], o: argparse.Namespace) -> dict[str, Any]:
    """Hospitals that send through one line to cores in one place."""
    days, per_day = 2, o.hospitals * o.studies
    lines, cores, hours = {}, {}, {}
    enough = 64
    for mbit in o.link:
        for syntax in SYNTAXES:
            some = studies(costs, o, per_day, days, MIDDLE, syntax)
            waits = queue.waits(some, enough, link=mbit * MBIT)
            lines[mbit, syntax] = told(waits, some.size.sum() / (mbit * MBIT) / (days * DAY))
            hour = (some.arrival % DAY // HOUR).astype(int)
            hours[mbit, syntax] = [float(np.quantile(waits[hour == h], 0.99)) for h in range(24)]
    for network in (MIDDLE, HEAVY):
        some = studies(costs, o, per_day, days, network, KEPT)
        peak = max(queue.PROFILE) / sum(queue.PROFILE) * per_day * work_of(costs, network) / HOUR
        least = max(1, int(np.ceil(peak)))
        for count in sorted({max(1, least - 1), least, least + 1, 2 * least}):
            cores[network, count] = told(
                queue.waits(some, count, link=max(o.link) * MBIT), some.work.sum() / (days * DAY * count)
            )
    return {"lines": lines, "cores": cores, "hours": hours, "per_day": per_day, "enough": enough, "days": days}


def national(costs: dict[str, Any], o: argparse.Namespace) -> dict[str, Any]:
    """All slices of an archive in one batch by cores, networks and what the store gives."""
    count = round(o.slices / costs["slices"])
    runs = {}
    for network in (*NETWORKS, f"{MIDDLE}, 8-bit integers", f"{HEAVY}, 8-bit integers"):
        for cores in (64, 256, 1024):
            runs[network, cores] = _run(costs, o, count, network, KEPT, cores)
    by_syntax = {syntax: _run(costs, o, count, MIDDLE, syntax, 1024) for syntax in SYNTAXES}
    parts = {
        (network, commands): _run(costs, o, count, network, KEPT, 1024, commands)
        for network in (MIDDLE, HEAVY)
        for commands in (1, o.commands)
    }
    limits = archive.limits(costs["record"], o.memory * 2**30, o.actor_memory * 2**30)
    return {"studies": count, "runs": runs, "by_syntax": by_syntax, "parts": parts, "limits": limits}


def _run(
    costs: dict[str, Any], o: argparse.Namespace, count: int, network: str, syntax: str, cores: int, commands: int = 1
) -> dict[str, Any]:
    seconds = costs["record"].get("ray_seconds") or 0.0
    driver = (seconds + costs["seconds"]["record"]) / commands  # several drivers beside each other
    size = float(costs["bytes"][f"archive, {syntax}"])
    work = archive.Work(work_of(costs, network, syntax), size, driver)
    site = archive.Site(cores, o.store * 1e9 / 8, o.lost_after, o.back_after)
    least, slowest = archive.bound(count, work, site)
    spent, again = archive.run(count, work, site, max(1, count // (cores * 32)), o.seed)
    return {"days": spent / DAY, "bound": least / DAY, "slowest": slowest, "again": again}


def options() -> argparse.ArgumentParser:
    """What may be chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--costs", type=Path, default=COSTS)
    add("--out", type=Path, default=ROOT / "docs" / "scale.md")
    add("--picture", type=Path, default=ROOT / "docs" / "results" / "scale.svg")
    add("--seed", type=int, default=0)
    add("--studies", type=float, default=1_000, help="of a hospital a day")
    add("--spread", type=float, default=0.5, help="of a study's work and bytes, relative to their mean")
    add("--urgent", type=float, default=0.1, help="share of emergencies")
    add("--hospitals", type=int, default=30, help="of a region")
    add("--link", type=float, nargs="+", default=[50, 100, 200, 1_000], help="a region's line in Mbit/s")
    add("--slices", type=float, default=1e9, help="of the national archive")
    add("--store", type=float, default=10.0, help="what the archive's store gives, in Gbit/s")
    add("--opens", type=float, default=10_000, help="files a second that the store opens")
    add("--latency", type=float, default=0.01, help="seconds of one request to an object store")
    add("--commands", type=int, default=16, help="parts of the archive that are worked on beside each other")
    add("--lost-after", type=float, default=30.0, help="days until a core's process is lost")
    add("--back-after", type=float, default=600.0, help="seconds until it is back")
    add("--unreadable", type=float, default=0.001, help="share of studies that cannot be read")
    add("--memory", type=float, default=64.0, help="GiB of the driver")
    add("--actor-memory", type=float, default=4.0, help="GiB of each actor")
    add("--gpu", type=float, nargs="+", default=[10, 30, 100], help="cores whose network's work one GPU does: assumed")
    return parser


def main() -> None:
    """Simulate and write."""
    o = options().parse_args()
    costs = json.loads(o.costs.read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for name, part in (
        ("closed", lambda c, o: closed(o.seed)),
        ("hospital", hospital),
        ("region", region),
        ("national", national),
    ):
        begun = time.perf_counter()
        found[name] = part(costs, o)
        print(f"{name}: {time.perf_counter() - begun:.1f} s", flush=True)
    o.picture.write_text(page.picture(found["region"], o), encoding="utf-8")
    o.out.write_text(page.written(costs, found, o), encoding="utf-8")


if __name__ == "__main__":
    main()
