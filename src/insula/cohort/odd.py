"""Scans that are unlike the rest of their cohort in size, spacing, length or quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from insula.cohort.examine import Seen

_USUAL = 0.8  # so many of one size make that size the usual one
_FAR = 6.0
_TIMES = 4.0  # quality varies in every cohort: this many times the median, or a quarter of it
_APART = 0.3
_ENOUGH = 10


@dataclass(frozen=True)
class Odd:
    """One scan and in what it differs. case: its number in the cohort."""

    case: int
    what: str


def odd(seen: Sequence[Seen]) -> tuple[Odd, ...]:
    """What stands out, nothing for fewer than ten scans.

    Sizes: those other than one that four fifths share. Numbers: a modified z-score (0.6745 times the distance from the
    median over the median absolute distance; Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993) over 6,
    and at least 30% from the median (for quality four times the median, or a quarter of it); where more than half are
    equal, the few that differ as much.
    """
    read = [s for s in seen if not s.error and not s.blank]
    if len(read) < _ENOUGH:
        return ()
    found = _sizes(read)
    found += _numbers(read, "slices", lambda s: float(s.size[2]), "{:.0f}")
    found += _numbers(read, "pixel spacing", lambda s: s.spacing[0] if s.spacing else None, "{:.2f} mm")
    found += _numbers(read, "slice spacing", lambda s: s.spacing[2] if s.spacing else None, "{:.2f} mm")
    units = Counter(s.units for s in read)
    for unit in units:
        some = [s for s in read if s.units == unit]
        shape = "{:.1f} HU" if unit == "HU" else "{:.3f} of the scale shown"
        found += _numbers(some, "noise", lambda s: s.quality.noise if s.quality else None, shape, _TIMES)
        found += _numbers(some, "sharpness", lambda s: s.quality.sharpness if s.quality else None, "{:.2f}", _TIMES)
        found += _numbers(some, "contrast", lambda s: s.quality.contrast if s.quality else None, "{:.2f}", _TIMES)
    return tuple(sorted(found, key=lambda o: o.case))


def _sizes(read: Sequence[Seen]) -> list[Odd]:
    counts = Counter(s.size[:2] for s in read)
    (usual, count), share = counts.most_common(1)[0], counts.most_common(1)[0][1] / len(read)
    if share < _USUAL or count == len(read):
        return []
    text = f"while {100 * share:.0f}% are {usual[0]}x{usual[1]}"
    return [Odd(s.case, f"size {s.size[0]}x{s.size[1]}, {text}") for s in read if s.size[:2] != usual]


def _numbers(
    read: Sequence[Seen], name: str, of: Callable[[Seen], float | None], shape: str, times: float = 0.0
) -> list[Odd]:
    pairs = [(s.case, value) for s in read if (value := of(s)) is not None]
    if len(pairs) < _ENOUGH:
        return []
    values = np.array([value for _, value in pairs])
    middle = float(np.median(values))
    distance = np.abs(values - middle)
    typical = float(np.median(distance))
    far = (values > times * middle) | (values * times < middle) if times else distance > _APART * abs(middle)
    if typical > 0:
        far &= 0.6745 * distance / typical > _FAR
    elif far.mean() > 1 - _USUAL:
        return []
    text = f", while the median is {shape.format(middle)}"
    return [
        Odd(case, f"{name} {shape.format(value)}{text}")
        for (case, value), is_far in zip(pairs, far, strict=True)
        if is_far
    ]
