"""Small charts as SVG: axes with ticks, lines, bands, points and bars, and a legend that stands outside the picture.

Colours follow Okabe and Ito (2008), some darker to be seen on white: told apart with any common colour vision; lines
differ in dash as well. Each element has its colour as an attribute, so that the picture stands alone, and a class, so
that the style sheet of the page can change it for dark screens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

Series = Literal["a", "b", "c", "d", "e", "f", "g", "h"]
Mark = Literal["line", "band", "point", "bar", "stem"]
COLOURS: dict[str, str] = {
    "a": "#0072b2",
    "b": "#d55e00",
    "c": "#00805e",
    "d": "#a8528b",
    "e": "#b07800",
    "f": "#3f93c8",
    "g": "#5c6670",
    "h": "#8a6d3b",
}
DASHES = {"solid": "", "dash": "7 4", "dot": "2 3", "mixed": "8 3 2 3"}
LETTERS: tuple[Series, ...] = ("a", "b", "c", "d", "e", "f", "g", "h")
_INK, _SOFT, _GRID = "#27323d", "#56616c", "#d5dce4"
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 20.0, 10.0, 48.0


@dataclass(frozen=True)
class Axis:
    """One axis: its ends, its label and where it has ticks.

    percent: ticks are written as percentages. said: what is written at the ticks in place of their numbers.
    """

    low: float
    high: float
    label: str
    ticks: tuple[float, ...] = ()
    percent: bool = False
    said: tuple[str, ...] = ()

    def marks(self) -> tuple[tuple[float, str], ...]:
        """Where the ticks stand and what is written there."""
        if self.said:
            return tuple(zip(self.ticks, self.said, strict=True))
        return tuple((t, self._said(t)) for t in self.ticks or round_ticks(self.low, self.high))

    def _said(self, tick: float) -> str:
        if self.percent:
            return f"{100 * tick:.3g}%"
        return f"{tick:.4g}".replace("-", "−")


UNIT = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def round_ticks(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """At most `most` round numbers (1, 2 or 5 times a power of ten apart) from low to high."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return (low,)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * k for k in (1, 2, 5, 10, 20) if span / (power * k) <= most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(k * step, 10) for k in range(first, last + 1))


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a small picture of the mark, and what it stands for."""

    svg: str
    text: str


@dataclass(frozen=True)
class Drawing:
    """A chart as an `<svg>` element, with the entries of its legend, its title, and a sentence below it."""

    svg: str
    legend: tuple[Key, ...]
    title: str
    caption: str = ""


@dataclass
class Chart:
    """A chart that is being drawn; positions are in the units of its axes."""

    title: str
    x: Axis
    y: Axis
    width: float = 400.0
    height: float = 340.0
    parts: list[str] = field(default_factory=list)
    legend: list[Key] = field(default_factory=list)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the axes lies in the picture."""
        across = self.width - _LEFT - _RIGHT
        down = self.height - _TOP - _BOTTOM
        left = _LEFT + across * (x - self.x.low) / (self.x.high - self.x.low)
        return left, _TOP + down * (self.y.high - y) / (self.y.high - self.y.low)

    def line(self, xs: Sequence[float], ys: Sequence[float], s: Series, name: str = "", dash: str = "solid") -> None:
        """A line through points; a gap where a value is not finite. An empty name leaves it out of the legend."""
        path = self._path(xs, ys)
        self.parts.append(f'<path d="{path}" {_stroke(s, 2, dash)}/>')
        self._key(name, f'<path d="M1 7H25" {_stroke(s, 2.4, dash)}/>')

    def band(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], s: Series, name: str = "") -> None:
        """The area between two lines."""
        there = [i for i in range(len(xs)) if math.isfinite(low[i]) and math.isfinite(high[i])]
        if len(there) < 2:
            return
        edge = [self.place(xs[i], self._kept(high[i])) for i in there]
        edge += [self.place(xs[i], self._kept(low[i])) for i in reversed(there)]
        self.parts.append(f'<path d="{_joined(edge)}Z" class="f-{s}" fill="{COLOURS[s]}" fill-opacity=".17"/>')
        swatch = f'<rect x="1" y="1" width="24" height="12" class="f-{s}" fill="{COLOURS[s]}" fill-opacity=".25"/>'
        self._key(name, swatch)

    def points(self, xs: Sequence[float], ys: Sequence[float], s: Series, name: str = "", hollow: bool = False) -> None:
        """A dot at each point."""
        for x, y in zip(xs, ys, strict=True):
            left, down = self.place(x, y)
            self.parts.append(_dot(left, down, s, hollow))
        self._key(name, _dot(13, 7, s, hollow))

    def stems(
        self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], s: Series, name: str = ""
    ) -> None:
        """An upright line from low to high at each x: an interval."""
        for x, bottom, top in zip(xs, low, high, strict=True):
            (left, down), (_, up) = self.place(x, self._kept(bottom)), self.place(x, self._kept(top))
            self.parts.append(f'<path d="M{left:.1f} {down:.1f}V{up:.1f}" {_stroke(s, 1.6)} stroke-opacity=".6"/>')
        self._key(name, f'<path d="M13 0V14" {_stroke(s, 1.8)} stroke-opacity=".6"/>')

    def stairs(
        self, edges: Sequence[float], heights: Sequence[float], s: Series, name: str = "", dash: str = "solid"
    ) -> None:
        """The outline of bars that stand side by side."""
        xs, ys = [edges[0]], [0.0]
        for i, height in enumerate(heights):
            xs += [edges[i], edges[i + 1]]
            ys += [height, height]
        path = self._path([*xs, edges[-1]], [*ys, 0.0])
        self.parts.append(
            f'<path d="{path}" class="s-{s} f-{s}" stroke="{COLOURS[s]}" stroke-width="1.8" fill="{COLOURS[s]}" '
            f'fill-opacity=".12"{_dashed(dash)}/>'
        )
        swatch = (
            f'<rect x="1" y="2" width="24" height="11" class="s-{s} f-{s}" stroke="{COLOURS[s]}" stroke-width="1.6" '
            f'fill="{COLOURS[s]}" fill-opacity=".12"{_dashed(dash)}/>'
        )
        self._key(name, swatch)

    def bars(
        self,
        xs: Sequence[float],
        low: Sequence[float],
        high: Sequence[float],
        s: Series,
        name: str = "",
        full: float = 0.85,
    ) -> None:
        """Upright bars from low to high, four fifths of a unit wide, the middle at x; none where both ends are one.

        full: how much of their colour they are filled with, so that parts of one bar differ without colour too.
        """
        paint = f'class="s-{s} f-{s}" stroke="{COLOURS[s]}" fill="{COLOURS[s]}" fill-opacity="{full:g}"'
        for x, bottom, top in zip(xs, low, high, strict=True):
            (left, up), (right, down) = self.place(x - 0.4, self._kept(top)), self.place(x + 0.4, self._kept(bottom))
            if top > bottom:
                place = f'x="{left:.1f}" y="{up:.1f}" width="{right - left:.1f}" height="{down - up:.1f}"'
                self.parts.append(f"<rect {place} {paint}/>")
        self._key(name, f'<rect x="7" y="1" width="12" height="12" {paint}/>')

    def upright(self, x: float, name: str = "") -> None:
        """A dashed line over the whole height at x."""
        left, top = self.place(x, self.y.high)
        bottom = self.place(x, self.y.low)[1]
        dashed = f'class="s-ink" stroke="{_INK}" stroke-width="1.3" fill="none" stroke-dasharray="5 4"'
        self.parts.append(f'<path d="M{left:.1f} {top:.1f}V{bottom:.1f}" {dashed}/>')
        self._key(name, f'<path d="M13 0V14" {dashed}/>')

    def reference(self, xs: Sequence[float], ys: Sequence[float], name: str = "") -> None:
        """A thin grey line that other lines are compared with."""
        thin = f'class="s-soft" stroke="{_SOFT}" stroke-width="1.2" fill="none" stroke-dasharray="2 3"'
        self.parts.append(f'<path d="{self._path(xs, ys)}" {thin}/>')
        self._key(name, f'<path d="M1 7H25" {thin}/>')

    def done(self, caption: str = "") -> Drawing:
        """The chart as SVG, with its axes below everything that was drawn."""
        label = escape(self.title)
        return Drawing(
            f'<svg role="img" aria-label="{label}" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'font-family="system-ui, sans-serif" font-size="13">{self._axes()}{"".join(self.parts)}</svg>',
            tuple(self.legend),
            self.title,
            caption,
        )

    def _axes(self) -> str:
        left, right, top, bottom = _LEFT, self.width - _RIGHT, _TOP, self.height - _BOTTOM
        found = []
        for value, said in self.x.marks():
            at = self.place(value, self.y.low)[0]
            found.append(f'<path d="M{at:.1f} {top:g}V{bottom:g}" class="s-grid" stroke="{_GRID}"/>')
            found.append(_text(at, bottom + 17, said, "middle", _SOFT))
        for value, said in self.y.marks():
            at = self.place(self.x.low, value)[1]
            found.append(f'<path d="M{left:g} {at:.1f}H{right:g}" class="s-grid" stroke="{_GRID}"/>')
            found.append(_text(left - 7, at + 4.5, said, "end", _SOFT))
        axes = f'<path d="M{left:g} {top:g}V{bottom:g}H{right:g}" class="s-soft" stroke="{_SOFT}" fill="none"/>'
        across = _text((left + right) / 2, self.height - 8, self.x.label, "middle", _INK)
        middle = (top + bottom) / 2
        turned = f'transform="rotate(-90 13 {middle:g})"'
        return "".join(found) + axes + across + _text(13, middle, self.y.label, "middle", _INK, turned)

    def _path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        runs: list[list[tuple[float, float]]] = [[]]
        for x, y in zip(xs, ys, strict=True):
            if math.isfinite(x) and math.isfinite(y):
                runs[-1].append(self.place(x, self._kept(y)))
            elif runs[-1]:
                runs.append([])
        return "".join(_joined(run) for run in runs if run)

    def _kept(self, y: float) -> float:
        return min(max(y, self.y.low), self.y.high)

    def _key(self, name: str, mark: str) -> None:
        if name:
            svg = f'<svg viewBox="0 0 26 14" width="26" height="14" aria-hidden="true">{mark}</svg>'
            self.legend.append(Key(svg, name))


def strip(value: float, interval: Sequence[float], widest: float) -> str:
    """A value with its interval on a line from −widest to widest, with a mark at 0, as a small `<svg>`."""
    at = [60 + 54 * v / widest for v in (interval[0], value, interval[1])]
    zero = f'<path d="M60 1V15" class="s-soft" stroke="{_SOFT}" stroke-dasharray="2 2"/>'
    span = f'<path d="M{at[0]:.1f} 8H{at[2]:.1f}" {_stroke("a", 2)}/>'
    dot = f'<circle cx="{at[1]:.1f}" cy="8" r="3.4" class="f-a" fill="{COLOURS["a"]}"/>'
    return f'<svg viewBox="0 0 120 16" width="120" height="16" aria-hidden="true">{zero}{span}{dot}</svg>'


def _joined(points: Sequence[tuple[float, float]]) -> str:
    """A path through the points, rounded to a tenth of a unit; points that then coincide are drawn once."""
    said: list[str] = []
    for left, down in points:
        here = f"{left:.1f} {down:.1f}"
        if not said or said[-1] != here:
            said.append(here)
    return "M" + "L".join(said if len(said) > 1 else said * 2)


def _stroke(s: str, width: float, dash: str = "solid") -> str:
    joins = 'fill="none" stroke-linejoin="round"'
    return f'class="s-{s}" stroke="{COLOURS[s]}" stroke-width="{width:g}" {joins}{_dashed(dash)}'


def _dashed(dash: str) -> str:
    return f' stroke-dasharray="{DASHES[dash]}"' if DASHES[dash] else ""


def _dot(left: float, down: float, s: str, hollow: bool) -> str:
    ring = f'class="s-{s} {"f-paper" if hollow else f"f-{s}"}" stroke="{COLOURS[s]}" stroke-width="2.2"'
    return f'<circle cx="{left:.1f}" cy="{down:.1f}" r="4" {ring} fill="{"#fff" if hollow else COLOURS[s]}"/>'


def _text(left: float, down: float, said: str, anchor: str, colour: str, more: str = "") -> str:
    kind = "t-ink" if colour == _INK else "t-soft"
    place = f'x="{left:.1f}" y="{down:.1f}" text-anchor="{anchor}"'
    return f'<text {place} class="{kind}" fill="{colour}"{f" {more}" if more else ""}>{escape(said)}</text>'
