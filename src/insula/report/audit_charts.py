"""The charts of an audit: what is lost over graded strengths, as small drawings on one scale that can be compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from insula.report.audit_words import cut
from insula.report.draw import DASHES, LETTERS, Axis, Chart, Drawing, Key, round_ticks

TOGETHER = 4  # lines that can be told apart with their bands; more get a drawing each
_WIDTH, _HEIGHT = 300.0, 230.0
_LONGEST = 38  # letters below an axis
Point = tuple[float, float, float, float]
Lines = Mapping[str, Sequence[Point]]


@dataclass(frozen=True)
class Panel:
    """Drawings side by side. legend: of them all, where they share one; otherwise each has its own."""

    drawings: tuple[Drawing, ...]
    legend: tuple[Key, ...] = ()


def panel(charts: Sequence[Mapping[str, Any]]) -> Panel:
    """The charts of one part, as the JSON has them: each line is named and a list of (x, y, low, high).

    Charts of one y axis are drawn to one scale. A chart of more than TOGETHER lines becomes a drawing a line. Points
    that are not numbers are left out, and a chart that has none says so.
    """
    single = [one for chart in charts for one in _apart(chart)]
    scales = {y: _scale([lines for own, lines in single if own["y"] == y]) for y in {own["y"] for own, _ in single}}
    drawn = tuple(_drawn(chart, lines, scales[chart["y"]]) for chart, lines in single)
    shown = [one for one in drawn if one.legend]
    most = max((one.legend for one in shown), key=len, default=())
    if len(shown) > 1 and all(_within(one.legend, most) for one in shown):
        return Panel(tuple(replace(one, legend=()) for one in drawn), most)
    return Panel(drawn)


def _within(some: Sequence[Key], most: Sequence[Key]) -> bool:
    """Whether lines look and are called alike in both; one may have intervals where the other has none."""
    return {(key.text, key.svg) for key in some} <= {(key.text, key.svg) for key in most}


def _apart(chart: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], dict[str, list[Point]]]]:
    lines = {name: _known(points) for name, points in chart["lines"].items()}
    if len(lines) <= TOGETHER:
        return [(chart, lines)]
    return [({**chart, "title": f"{chart['title']}: {name}"}, {name: points}) for name, points in lines.items()]


def _known(points: Iterable[Sequence[float | None]]) -> list[Point]:
    """The points that have a place; without an interval both ends are NaN."""
    made = [tuple(math.nan if v is None else float(v) for v in point) for point in points]
    return [(x, y, low, high) for x, y, low, high in made if math.isfinite(x) and math.isfinite(y)]


def _scale(several: Sequence[Lines]) -> tuple[float, float]:
    """The ends of a y axis: 0 and everything that is drawn, out to round numbers."""
    values = [v for lines in several for points in lines.values() for point in points for v in point[1:]]
    known = [v for v in values if math.isfinite(v)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-9:
        return 0.0, 0.1
    ticks = round_ticks(low, high, 5)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else high - low
    return step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)


def _drawn(of: Mapping[str, Any], lines: Lines, scale: tuple[float, float]) -> Drawing:
    xs = [point[0] for points in lines.values() for point in points]
    low, high = min(xs, default=0.0), max(xs, default=1.0)
    if high - low < 1e-12:
        room = abs(low) / 2 or 0.5
        low, high = low - room, high + room
    chart = Chart(
        of["title"],
        Axis(low, high, cut(of["x"], _LONGEST), round_ticks(low, high, 5)),
        Axis(*scale, cut(of["y"], _LONGEST), round_ticks(*scale, 5)),
        _WIDTH,
        _HEIGHT,
    )
    chart.reference((low, high), (0.0, 0.0))
    named = list(zip(lines.items(), LETTERS, DASHES, strict=False))
    ranged = False
    for (_, points), letter, _ in named:
        at = [point for point in points if all(map(math.isfinite, point))]
        chart.band([p[0] for p in at], [p[2] for p in at], [p[3] for p in at], letter)
        chart.stems([p[0] for p in at], [p[2] for p in at], [p[3] for p in at], letter)
        ranged = ranged or any(p[2] != p[3] for p in at)
    for (name, points), letter, dash in named:
        x, y = [p[0] for p in points], [p[1] for p in points]
        chart.line(x, y, letter, name, dash)
        chart.points(x, y, letter, hollow=letter == "b")
    drawn = chart.done("" if xs else "nothing could be measured")
    if not xs:
        return replace(drawn, legend=())
    return replace(drawn, legend=(*drawn.legend, _range_key())) if ranged else drawn


def _range_key() -> Key:
    chart = Chart("", Axis(0, 1, ""), Axis(0, 1, ""))
    chart.band((0, 1), (0, 0), (1, 1), "g", "95% interval")
    return chart.legend[0]
