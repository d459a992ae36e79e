"""Near-duplicates among many thumbnails, and what hangs together by them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from insula.cohort import alike, codes
from insula.cohort.codes import LOOKS, Codes, Look
from insula.cohort.nearest import Index, Near
from insula.cohort.prints import Prints

Progress = Callable[..., Iterable[Any]]
Unit = TypeVar("Unit", bound=Hashable)
_BLOCK = 1024


@dataclass(frozen=True)
class Likeness:
    """Two thumbnails (by number, first < second) that are one picture: correlation of their detail, and how."""

    first: int
    second: int
    value: float
    how: str


def near(found: Prints, owners: NDArray[np.int32], progress: Progress | None = None) -> list[Likeness]:
    """Pairs of thumbnails of different owners (N,) that show one picture, sorted by their numbers.

    Candidates are codes within 56 of 256 bits (`nearest`) under any of 28 looks (`codes`): as it is, mirrored, turned,
    cropped. They are confirmed when the correlation of their detail, laid over each other, reaches
    `alike.threshold`. Each picture is held against its 64 nearest candidates at most.
    """
    if len(found) < 2:
        return []
    about = codes.medians(found.thumbnails)
    shared = alike.common(found.thumbnails)
    index = Index(_codes(found.thumbnails, about), owners)

    def looks(start: int, stop: int) -> list[Codes]:
        maps = codes.details(found.thumbnails[start:stop])
        return [codes.codes(maps, about, look) for look in LOOKS]

    blocks: Iterable[Near] = index.near(looks, block=_BLOCK)
    if progress is not None:
        blocks = progress(blocks, "near-duplicates", -(-len(found) // _BLOCK))
    accepted: dict[tuple[int, int], Likeness] = {}
    for block in blocks:
        for first, second, number in zip(block.first.tolist(), block.second.tolist(), block.look.tolist(), strict=True):
            look = LOOKS[number]
            pair = (min(first, second), max(first, second))
            # uncropped looks are found from both sides: one is enough
            if pair in accepted or (first > second and look.crop[2] == 1.0):
                continue
            side = int(min(found.sides[first], found.sides[second]))
            value = alike.likeness(found.thumbnails[first], found.thumbnails[second], look, side, shared)
            if value >= alike.threshold(side):
                accepted[pair] = Likeness(*pair, value, look.words)
    return [accepted[pair] for pair in sorted(accepted)]


def components(pairs: Iterable[tuple[Unit, Unit]]) -> list[list[Unit]]:
    """What is joined by pairs, directly or over others: groups of two or more, in the order of their first member."""
    leader: dict[Unit, Unit] = {}

    def lead(unit: Unit) -> Unit:
        leader.setdefault(unit, unit)
        while leader[unit] != unit:
            leader[unit] = leader[leader[unit]]
            unit = leader[unit]
        return unit

    for first, second in pairs:
        a, b = lead(first), lead(second)
        if a != b:
            leader[b] = a
    groups: dict[Unit, list[Unit]] = {}
    for unit in leader:
        groups.setdefault(lead(unit), []).append(unit)
    return [group for group in groups.values() if len(group) > 1]


def numbered(names: Sequence[str]) -> NDArray[np.int32]:
    """A number for each name, equal for equal names."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int32)


def _codes(thumbnails: NDArray[np.uint8], about: NDArray[np.float32]) -> Codes:
    """Codes of all thumbnails, block by block, so that no more than one block of detail is in memory."""
    made = np.empty((len(thumbnails), 4), dtype=np.uint64)
    for start in range(0, len(thumbnails), _BLOCK):
        made[start : start + _BLOCK] = codes.codes(codes.details(thumbnails[start : start + _BLOCK]), about, Look())
    return made
