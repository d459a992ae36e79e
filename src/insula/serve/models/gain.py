"""Whether batches gain anything for a network on this machine, found out when it is warmed.

On a processor a network of convolutions mostly takes as long for four slices as four times for one, and a batch only
makes everybody wait for everybody; on a GPU, and for small networks, it takes less. And a case must get the same answer
in a batch as alone. Both are measured on a made input, and where either fails, cases go one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from insula.core.types import FloatArray
from insula.infer.engine import CHUNK, Engine, Outputs

SIZES: Final = (4, CHUNK)
LEAST: Final = 0.07  # of the time per slice that a batch must save
SAME: Final = 1e-6  # how far an output may lie from that of the case alone, of its largest value
TRIAL: Final = 0.4  # seconds that the trial of one size may take, so that the start is not delayed by more
ROUNDS: Final = 3


@dataclass(frozen=True)
class Gain:
    """What was found. most: slices of one call, 1 for no batches. why: in words, where it is 1.

    seconds: by number of slices, the least time per slice of those tried.
    """

    most: int
    why: str
    seconds: dict[int, float]


def measured(engine: Engine, clock: Callable[[], float] = time.perf_counter) -> Gain:
    """Try calls of 1, 4 and 16 cases of one slice each on an engine that is warm; the smallest that is worth it counts.

    A case of several slices is a batch for the network by itself, so that slices are what is counted. A size whose
    trial would take too long is left out: so long a call is all arithmetic, of which a batch saves nothing.
    """
    ones = [_made(engine, 1, seed) for seed in range(CHUNK)]
    seconds = {1: _least(engine, ones[0], clock, 1)}
    best = 1
    for size in SIZES:
        if (ROUNDS + 2) * size * seconds[1] > TRIAL:
            why = f"one slice takes {1000 * seconds[1]:.0f} ms: {size} at once were not tried"
            return Gain(best, why if best == 1 else "", seconds)
        together = {name: np.concatenate([one[name] for one in ones[:size]]) for name in ones[0]}
        if reason := _differs(engine.run(together), [engine.run(one) for one in ones[:size]]):
            return Gain(best, "" if best > 1 else reason, seconds)
        seconds[size] = _least(engine, together, clock, size)
        seconds[1] = min(seconds[1], _least(engine, ones[0], clock, 1))
        if seconds[size] > (1.0 - LEAST) * seconds[best]:
            break
        best = size
    return Gain(best, "" if best > 1 else "a batch takes as long as its cases one by one", seconds)


def _least(engine: Engine, feed: dict[str, FloatArray], clock: Callable[[], float], size: int) -> float:
    found = []
    for _ in range(ROUNDS):
        begun = clock()
        engine.run(feed)
        found.append((clock() - begun) / size)
    return min(found)


def _differs(together: Outputs, alone: Sequence[Outputs]) -> str:
    """Why a batch does not stand for its cases, or ""."""
    embedding = np.concatenate([one.embedding for one in alone])
    if not np.array_equal(embedding, together.embedding):
        return "a case's embedding, from whose bytes its dropout passes are drawn, has other last bits in a batch"
    pairs = [(np.concatenate([one.logits for one in alone]), together.logits)]
    pairs += [(np.concatenate([one.maps[role] for one in alone]), maps) for role, maps in together.maps.items()]
    for right, found in pairs:
        apart = float(np.abs(right - found).max()) / max(1.0, float(np.abs(right).max()))
        if not apart <= SAME:
            return f"a case's outputs in a batch differ by {apart:.1g} of the largest, above {SAME:g}"
    return ""


def _made(engine: Engine, count: int, seed: int) -> dict[str, FloatArray]:
    """So many cases of one slice of noise in each role."""
    draw = np.random.default_rng(seed)
    feed: dict[str, FloatArray] = {}
    for role, shape in engine.input_shapes.items():
        feed |= {role: draw.random((count, 1, *shape), np.float32), f"{role}_mask": np.ones((count, 1, 1), np.float32)}
    if engine.clinical:
        feed["clinical"] = draw.random((count, engine.clinical), np.float32)
    return feed
