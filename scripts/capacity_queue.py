"""Studies that queue for cores: a discrete-event simulation, and the closed forms that it is held against."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Share of a day's studies in each hour from midnight, in per cent. Assumed: few at night, most between eight and noon,
# fewer at midday, a second rise after it.
PROFILE = (
    *(0.9, 0.7, 0.6, 0.6, 0.7, 1.0, 2.0, 4.5, 8.5, 9.8, 9.8, 9.0),
    *(7.0, 7.5, 8.0, 7.5, 6.0, 4.5, 3.5, 2.8, 2.0, 1.4, 1.0, 0.7),
)
HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True, eq=False)
class Studies:
    """Studies in the order in which they are sent: arrival (s), work (core s), size (bytes), urgent; (n,) each."""

    arrival: Floats
    work: Floats
    size: Floats
    urgent: NDArray[np.bool_]


@dataclass(frozen=True)
class Outage:
    """A worker that dies at `start` (s) and is back `length` seconds later; its study is begun again elsewhere."""

    worker: int
    start: float
    length: float


def profile_arrivals(per_day: float, days: int, generator: np.random.Generator) -> Floats:
    """Times (s) of a Poisson process whose rate follows `PROFILE`, in order."""
    share = np.array(PROFILE) / sum(PROFILE)
    counts = generator.poisson(np.tile(share * per_day, days))
    hours = np.repeat(np.arange(len(counts)), counts)
    return np.sort((hours + generator.random(len(hours))) * HOUR)


def drawn(
    arrival: Floats, work: float, size: float, spread: float, urgent: float, generator: np.random.Generator
) -> Studies:
    """Studies at these times, whose work and bytes vary together: log-normal, of this mean and relative spread."""
    variance = math.log(1.0 + spread**2)
    factor = np.exp(generator.normal(-variance / 2.0, math.sqrt(variance), len(arrival)))
    return Studies(arrival, work * factor, size * factor, generator.random(len(arrival)) < urgent)


def held_back(studies: Studies, start: float, end: float) -> Studies:
    """The same studies where the line is cut between start and end (s): what was to come then comes at its end."""
    arrival = np.where((studies.arrival >= start) & (studies.arrival < end), end, studies.arrival)
    return Studies(arrival, studies.work, studies.size, studies.urgent)


def waits(
    studies: Studies,
    workers: int,
    *,
    urgent_first: bool = False,
    places: int | None = None,
    outages: Sequence[Outage] = (),
    link: float | None = None,
) -> Floats:
    """Seconds (n,) from each study's arrival to its answer; NaN for one that is refused.

    workers: cores, one study each. urgent_first: those wait before all others; none that is begun is stopped. places:
    studies that may wait or be worked on at once, beyond which one is refused. link: bytes a second of the line that
    all studies come through one after the other, before they wait.
    """
    line = _Line(studies, urgent_first, places)
    hands = [line.env.process(line.worker()) for _ in range(workers)]
    for outage in outages:
        line.env.process(line.dies(hands[outage.worker], outage))
    line.env.process(line.arrivals(link))
    line.env.run()
    return line.answered - studies.arrival


class _Line:
    """One simulated day or more."""

    def __init__(self, studies: Studies, urgent_first: bool, places: int | None) -> None:
        self.env = simpy.Environment()
        self.studies = studies
        self.places = places
        self.rank = ~studies.urgent if urgent_first else np.zeros(len(studies.arrival), bool)
        self.queue = simpy.PriorityStore(self.env)
        self.held = 0
        self.answered = np.full(len(studies.arrival), np.nan)

    def arrivals(self, link: float | None) -> Generator[Any, Any, None]:
        free = 0.0  # when the line is through with what was sent before
        for number, (time, size) in enumerate(zip(self.studies.arrival, self.studies.size, strict=True)):
            here = time
            if link:
                free = max(free, time) + size / link
                here = free
            yield self.env.timeout(max(0.0, here - self.env.now))
            if self.places is None or self.held < self.places:
                self.held += 1
                self._wait(number)

    def worker(self) -> Generator[Any, Any, None]:
        while True:
            asked = self.queue.get()
            number = None
            try:
                number = (yield asked).item
                yield self.env.timeout(self.studies.work[number])
            except simpy.Interrupt as stop:
                if number is not None:
                    self._wait(number)
                elif asked.triggered:  # it was handed over in the moment of the fault
                    self._wait(asked.value.item)
                else:
                    asked.cancel()
                yield self.env.timeout(stop.cause)
                continue
            self.answered[number] = self.env.now
            self.held -= 1

    def dies(self, worker: Any, outage: Outage) -> Generator[Any, Any, None]:
        yield self.env.timeout(outage.start)
        worker.interrupt(outage.length)

    def _wait(self, number: int) -> None:
        self.queue.put(simpy.PriorityItem((bool(self.rank[number]), number), number))


def erlang_c(rate: float, work: float, workers: int) -> float:
    """Mean seconds before work begins in M/M/c: Poisson arrivals, exponential work of this mean (Erlang 1917).

    Infinite where the workers are too few.
    """
    load = rate * work
    if load >= workers:
        return math.inf
    blocked = 1.0  # Erlang's loss formula by its recursion
    for count in range(1, workers + 1):
        blocked = load * blocked / (count + load * blocked)
    share = load / workers
    return blocked / (1.0 - share * (1.0 - blocked)) / (workers / work - rate)


def constant_work(rate: float, work: float) -> float:
    """Mean seconds before work begins in M/D/1, of equal work (Pollaczek and Khinchine); infinite from load 1 on."""
    load = rate * work
    return load * work / (2.0 * (1.0 - load)) if load < 1.0 else math.inf
