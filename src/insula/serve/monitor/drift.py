"""Are the scans that are served still like those that the model was validated on, with a stated rate of false alarms.

A bundle keeps the distances of its validation cases from its training cases, so `distance` is held against them, from
the first served case on. It keeps neither their picture numbers nor their scores: these are held against the first
served cases, so that a change later on is found, and one that was there from the start is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from insula.core.types import Verdict
from insula.serve.monitor import betting
from insula.serve.monitor.cases import Kept, served
from insula.serve.monitor.kept import DISTANCE, Reference
from insula.serve.monitor.settings import MonitorSettings

Against = Literal["validation cases", "first served cases"]
LATEST: Final = 50
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Channel:
    """What one number says of drift.

    statistic: common logarithm of the capital that was won by betting on drift (`betting`), now; highest: the most it
    was. limit: on that scale; where `highest` reaches it, drift is found. p_value: valid at any time, corrected for the
    number of channels. n: cases watched, one a patient; found_after: of these, when the limit was reached.
    held_against, reference: what the cases were compared with, and how many. before, latest: medians of these and of
    the last 50 cases. verdict: `cannot tell` without a case on either side.
    """

    name: str
    verdict: Verdict
    statistic: float
    highest: float
    limit: float
    p_value: float
    n: int
    found_after: int | None
    held_against: Against
    reference: int
    before: float | None
    latest: float | None


@dataclass(frozen=True, eq=False)
class Course:
    """A channel and its way there. statistic (n,): after each case, the first one first, on the scale of its limit."""

    channel: Channel
    statistic: Values


def drift(connection: Connection, reference: Reference, settings: MonitorSettings) -> tuple[Channel, ...]:
    """All channels of a bundle over its served cases; see `courses`."""
    return tuple(one.channel for one in courses(connection, reference, settings))


def courses(connection: Connection, reference: Reference, settings: MonitorSettings) -> tuple[Course, ...]:
    """All channels of a bundle over its served cases, with what the statistic was after each case.

    Where these are exchangeable with what they are held against, the chance that any channel ever reports drift in one
    watch (`cases.WATCH` patients, or until somebody starts anew) is at most `settings.drift_rate`, however often this
    is called: each channel's capital reaches channels/rate with a chance of at most rate/channels.
    """
    found = served(connection, reference.bundle_id, settings.drift_reference)
    first, later = found.first, found.watched
    both = later if found.number else first + later
    ties_both, ties_later = _ties(both), _ties(later)
    names = reference.channels
    shared = len(names), settings.drift_rate
    made = []
    for name in names:
        if name == DISTANCE:
            one = course(name, reference.distances, _numbers(both, name), ties_both, *shared, "validation cases")
        else:
            one = course(name, _numbers(first, name), _numbers(later, name), ties_later, *shared)
        made.append(one)
    return tuple(made)


def channel(
    name: str,
    before: Values,
    numbers: Values,
    ties: Values,
    count: int,
    rate: float,
    held_against: Against = "first served cases",
) -> Channel:
    """Where a channel stands; see `course`."""
    return course(name, before, numbers, ties, count, rate, held_against).channel


def course(
    name: str,
    before: Values,
    numbers: Values,
    ties: Values,
    count: int,
    rate: float,
    held_against: Against = "first served cases",
) -> Course:
    """One of `count` channels that share a rate of false alarms: numbers (n,) after reference values (r,).

    NaN stands for a case that has none. ties (n,): see `betting.p_values`.
    """
    limit = math.log(count / rate)
    known, own = np.isfinite(numbers), before[np.isfinite(before)]
    values = numbers[known]
    usable = len(values) > 0 and len(own) > 0
    capital = betting.log_capital(betting.p_values(values, own, ties[known])) if usable else np.zeros(1)
    highest = max(0.0, float(capital.max()))
    over = np.flatnonzero(capital >= limit)
    verdict: Verdict = "cannot tell" if not usable else "fail" if len(over) else "pass"
    found = Channel(
        name=name,
        verdict=verdict,
        statistic=float(capital[-1]) / math.log(10),
        highest=highest / math.log(10),
        limit=limit / math.log(10),
        p_value=min(1.0, count * math.exp(-highest)),
        n=len(values),
        found_after=int(over[0]) + 1 if len(over) else None,
        held_against=held_against,
        reference=len(own),
        before=float(np.median(own)) if len(own) else None,
        latest=float(np.median(values[-LATEST:])) if len(values) else None,
    )
    return Course(found, capital / math.log(10) if usable else np.zeros(0))


def _numbers(rows: Sequence[Kept], name: str) -> Values:
    return np.array([kept.get(name, math.nan) for _, kept in rows], np.float64)


def _ties(rows: Sequence[Kept]) -> Values:
    return betting.ties([key for key, _ in rows])
