"""The charts of the monitoring page; their words come in the reader's language."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np

from insula.metrics.intervals import Figure
from insula.report.draw import UNIT, Axis, Chart, Drawing, Series, round_ticks
from insula.serve.monitor.accuracy import Month
from insula.serve.monitor.daily import Day
from insula.serve.monitor.drift import Course

Words = Callable[[str], str]
_POINTS: Final = 200  # of a line; more cannot be told apart at its width
_LABELS: Final = 6
ACTIONS: Final[Mapping[str, tuple[str, Series, float]]] = {  # what is stacked on what, and how full it is drawn
    "accept": ("accepted", "a", 0.85),
    "refer": ("referred", "b", 0.4),
    "reject": ("rejected", "g", 0.0),
}
_KINDS: Final[tuple[tuple[str, Series, float], ...]] = (  # with the places beside each other
    ("sensitivity", "b", -0.14),
    ("accuracy", "a", 0.0),
    ("specificity", "c", 0.14),
)


def drift(course: Course, title: str, _: Words) -> Drawing | None:
    """A channel's statistic after each patient, with the line at which drift is reported; None without a patient."""
    values = course.statistic
    if not len(values):
        return None
    at, kept = _thinned(values.tolist())
    limit = course.channel.limit
    low, high = min(0.0, float(values.min())), max(limit, float(values.max()))
    low, high = max(low, -limit), 1.08 * high
    across = Axis(1, max(2, len(values)), _("patients watched"), _whole(1, max(2, len(values))))
    chart = Chart(title, across, Axis(low, high, _("evidence"), round_ticks(low, high, 5)), 320.0, 220.0)
    ends = (1.0, float(max(2, len(values))))
    chart.line(ends, (limit, limit), "b", _("drift is reported from here on"), "dash")
    chart.line(at, kept, "a", _("evidence that something changed"))
    if course.channel.found_after:
        chart.upright(course.channel.found_after, _("first reported"))
    return chart.done()


def months(found: Sequence[Month], _: Words) -> Drawing | None:
    """Accuracy, sensitivity and specificity by month with their intervals; None where no month has one."""
    if not any(math.isfinite(one.figures["accuracy"].value) for one in found):
        return None
    shown = found[-24:]
    places = [float(k) for k in range(len(shown))]
    chart = Chart(
        _("Right answers by month"), _named(places, [one.month for one in shown], ""), _share(_), 520.0, 240.0
    )
    for key, series, aside in _KINDS:
        held = [(x + aside, one.figures[key]) for x, one in zip(places, shown, strict=True)]
        held = [(x, one) for x, one in held if math.isfinite(one.value)]
        ranged = [(x, one.interval) for x, one in held if one.interval is not None]
        chart.stems([x for x, _e in ranged], [e[0] for _x, e in ranged], [e[1] for _x, e in ranged], series)
        values = [one.value for _x, one in held]
        chart.points([x for x, _f in held], values, series, _(key), hollow=key == "sensitivity")
    return chart.done(_("with 95% intervals"))


def days(found: Sequence[Day], _: Words) -> Drawing | None:
    """Answers by day, stacked by what was done with them; None where there was none."""
    totals = [sum(one.actions.values()) for one in found]
    if not any(totals):
        return None
    places = [float(k) for k in range(len(found))]
    top = float(max(totals))
    up = Axis(0, max(1.05 * top, 1.0), _("answers"), tuple(t for t in round_ticks(0, max(top, 1.0), 5) if t == int(t)))
    chart = Chart(_("Answers by day"), _named(places, [_day(one.day) for one in found], ""), up, 520.0, 240.0)
    below = np.zeros(len(found))
    for action, (name, series, full) in ACTIONS.items():
        count = np.array([one.actions.get(action, 0) for one in found], np.float64)
        chart.bars(places, below.tolist(), (below + count).tolist(), series, _(name), full)
        below += count
    return chart.done()


def shown(figure: Figure | None) -> Figure | None:
    """A figure that has a value; None for one that has none."""
    return figure if figure is not None and math.isfinite(figure.value) else None


def _thinned(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Places and values of a line, of long ones the highest and the last of each stretch, so that no peak is lost."""
    n = len(values)
    if n <= _POINTS:
        return [float(k + 1) for k in range(n)], [float(v) for v in values]
    at: list[int] = []
    for part in np.array_split(np.arange(n), _POINTS // 2):
        at += sorted({int(part[int(np.argmax(np.asarray(values)[part]))]), int(part[-1])})
    return [float(k + 1) for k in at], [float(values[k]) for k in at]


def _whole(low: int, high: int) -> tuple[float, ...]:
    return tuple(t for t in round_ticks(low, high, 5) if t == int(t)) or (float(low), float(high))


def _named(places: Sequence[float], names: Sequence[str], label: str) -> Axis:
    """An axis with one place for each name, of which as many are written as there is room for, the last one always."""
    every = max(1, math.ceil(len(names) / _LABELS))
    kept = [k for k in range(len(names)) if (len(names) - 1 - k) % every == 0]
    return Axis(-0.6, len(names) - 0.4, label, tuple(places[k] for k in kept), said=tuple(names[k] for k in kept))


def _share(_: Words) -> Axis:
    return Axis(0, 1, _("share of reviewed studies"), UNIT)


def _day(day: date) -> str:
    return f"{day:%m-%d}"
