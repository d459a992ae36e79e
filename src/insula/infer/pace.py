"""How long one case takes engines that are run in turn, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from insula.infer.engine import Engine
from insula.infer.feed import Feed

ROUNDS = 30


def in_turn(engines: Sequence[Engine], feeds: Sequence[Sequence[Feed]], rounds: int = ROUNDS) -> list[list[float]]:
    """Milliseconds of each engine's runs, (engines, rounds × cases); feeds: of each engine, of the same cases.

    Each engine runs once before it is timed.
    """
    found: list[list[float]] = [[] for _ in engines]
    for engine, own in zip(engines, feeds, strict=True):
        engine.run(own[0])
    for _ in range(rounds):
        for case in range(len(feeds[0])):
            for k, engine in enumerate(engines):
                begun = time.perf_counter()
                engine.run(feeds[k][case])
                found[k].append(1000 * (time.perf_counter() - begun))
    return found


def quartiles(times: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, middle, high = np.quantile(np.asarray(times), [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
