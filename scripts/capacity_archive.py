"""A whole archive in one batch: cores that share a store and a driver, and what one driver can hold."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

DAY = 86400.0


@dataclass(frozen=True)
class Work:
    """What a study takes: seconds of a core, bytes out of the store, seconds of the one driver."""

    core: float
    size: float
    driver: float


@dataclass(frozen=True)
class Site:
    """What there is: cores, bytes a second of the store, days until a core's process is lost, seconds to be back."""

    cores: int
    store: float
    lost_after: float
    back_after: float


def bound(studies: int, work: Work, site: Site) -> tuple[float, str]:
    """Seconds that the slowest part needs where nothing is lost and nothing waits, and its name."""
    needed = {
        "cores": studies * work.core / site.cores,
        "store": studies * work.size / site.store,
        "driver": studies * work.driver,
    }
    name = max(needed, key=lambda part: needed[part])
    return needed[name], name


def run(studies: int, work: Work, site: Site, block: int, seed: int = 0) -> tuple[float, int]:
    """Simulated seconds for the archive, and how many studies were begun again; a block of studies is an event.

    Each core takes a block out of the store, which gives to one after the other, works on it, and hands its rows to the
    driver, which takes one after the other. A core that is lost begins the study in hand again.
    """
    env = simpy.Environment()
    store, driver = simpy.Resource(env), simpy.Resource(env)
    generator = np.random.default_rng(seed)
    left = [studies]
    again = [0]

    def taken(part: Any, seconds: float) -> Generator[Any, Any, None]:
        with part.request() as turn:
            yield turn
            yield env.timeout(seconds)

    def core() -> Generator[Any, Any, None]:
        fails = generator.exponential(site.lost_after * DAY)
        while left[0]:
            count = min(block, left[0])
            left[0] -= count
            yield from taken(store, count * work.size / site.store)
            rest = count * work.core
            while rest > 0:
                step = min(rest, max(0.0, fails - env.now))
                yield env.timeout(step)
                rest -= step
                if rest > 0:
                    again[0] += 1
                    rest += work.core * generator.random()  # what was done of the study in hand
                    yield env.timeout(site.back_after)
                    fails = env.now + generator.exponential(site.lost_after * DAY)
            yield from taken(driver, count * work.driver)

    for _ in range(site.cores):
        env.process(core())
    env.run()
    return float(env.now), again[0]


@dataclass(frozen=True)
class Limit:
    """What gives way as an archive grows: from how many studies on, and what happens then."""

    part: str
    studies: float
    then: str


def limits(record: dict[str, Any], memory: float, actor_memory: float) -> list[Limit]:
    """What one command on a cluster gives way at, the first one first.

    record: as `benchmarks/study_record.py` measures it. memory, actor_memory: bytes that the driver and each actor may
    use.
    """
    found = [
        Limit(
            "all directories are listed in the driver's memory before the first is begun",
            memory / record["unit_bytes"],
            "the driver ends for want of memory, and nothing has been predicted",
        ),
        Limit(
            "a run that goes on gives every actor a copy of all cases that are done",
            actor_memory / record["known_bytes"],
            "the actors end for want of memory, and the run cannot go on where it was",
        ),
        Limit(
            "the digests of all cases are held, more than once, while the table is made",
            memory / record["most_bytes"],
            "the driver ends when all is predicted; the journal is whole, the table is not there",
        ),
        Limit(
            "a run that goes on reads its journal for more than an hour before the first new case",
            3600.0 / record["open_seconds"],
            "each fault of the driver costs an hour",
        ),
    ]
    if record.get("ray_seconds"):
        found.append(
            Limit(
                "Ray hands out one directory at a time, and the handing out alone takes more than a day",
                DAY / record["ray_seconds"],
                "more machines do not help: they wait for the driver",
            )
        )
    return sorted(found, key=lambda one: one.studies)
