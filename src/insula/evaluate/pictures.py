"""Thumbnails of the scans of many cases, read once for all that looks at pictures beside the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from insula.cohort.prints import Album, Prints, prints
from insula.core.errors import InsulaError
from insula.core.types import Case

Progress = Callable[[Sequence[Case]], Iterable[Case]]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Thumbnails of up to three slices around the middle of each scan; `found.cases` numbers `cases`.

    unread: cases of which not one picture could be read; what shows nothing has no thumbnail either.
    """

    cases: tuple[Case, ...]
    found: Prints
    unread: tuple[str, ...]


def gather(cases: Sequence[Case], root: Path, progress: Progress | None = None) -> Pictures:
    """Read the cases' pictures. A scan that cannot be read is named in `unread`, not raised."""
    album = Album()
    unread = []
    for number, case in enumerate(progress(cases) if progress else cases):
        try:
            for role in case.scans:
                for one in prints(case, root, role):
                    album.add(number, role, one)
        except (InsulaError, OSError):
            unread.append(case.key)
    return Pictures(tuple(cases), album.close(), tuple(unread))


def evenly(cases: Sequence[Case], most: int, seed: int) -> tuple[Case, ...]:
    """At most `most` of the cases, as evenly over the patients as can be; which of a patient's cases, by the seed."""
    if len(cases) <= most:
        return tuple(cases)
    rng = np.random.default_rng(seed)
    owned: dict[str, list[Case]] = defaultdict(list)
    for place in rng.permutation(len(cases)):
        owned[cases[place].patient].append(cases[place])
    turns = [case for turn in range(max(map(len, owned.values()))) for case in _nth(owned.values(), turn)]
    kept = {case.key for case in turns[:most]}
    return tuple(case for case in cases if case.key in kept)


def _nth(groups: Iterable[list[Case]], turn: int) -> list[Case]:
    return [group[turn] for group in groups if turn < len(group)]
