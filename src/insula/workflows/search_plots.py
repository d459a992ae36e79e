"""The charts of a search: history, intermediate values, slices by key, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from insula.report.draw import Axis, Chart, Drawing, Series
from insula.workflows.search_results import Search, Trial
from insula.workflows.search_space import Choices, Range

_MOST_LINES = 60
_TOP = 0.1


@dataclass(frozen=True)
class Named(Axis):
    """An axis whose ticks carry names: choices, or powers of ten on a logarithmic axis."""

    names: tuple[str, ...] = ()

    def marks(self) -> tuple[tuple[float, str], ...]:
        """Where the ticks stand and what is written there."""
        return tuple(zip(self.ticks, self.names, strict=True))


def drawings(search: Search) -> list[Drawing]:
    """Every chart that the search has the trials for, in the order of the page."""
    made = [history(search), intermediate(search), parallel(search)]
    return [d for d in (*made, *(piece(search, key) for key in search.space)) if d is not None]


def history(search: Search) -> Drawing | None:
    """The score of each trial in their order, with the best so far."""
    complete = search.of("complete")
    if not complete:
        return None
    pruned = [t for t in search.of("pruned") if t.score is not None]
    y = _scores([*complete, *pruned], search.metric.title)
    chart = Chart("History of the search", Axis(-0.5, search.trials[-1].number + 0.5, "trial"), y)
    xs: list[float] = []
    ys: list[float] = []
    best = math.nan
    for trial in complete:
        score = _score(trial)
        if math.isnan(best) or search.metric.better(score, best):
            if ys:
                xs.append(float(trial.number))
                ys.append(best)
            best = score
        xs.append(float(trial.number))
        ys.append(best)
    chart.line(xs, ys, "b", "best so far")
    chart.points([t.number for t in complete], [_score(t) for t in complete], "a", "complete")
    if pruned:
        chart.points([t.number for t in pruned], [_score(t) for t in pruned], "g", "pruned, last value", hollow=True)
    return chart.done("Each trial's score on the validation patients.")


def intermediate(search: Search) -> Drawing | None:
    """The values that each trial reported, epoch by epoch or fold by fold; the last trials where there are many."""
    told = [t for t in search.trials if len(t.steps) > 1][-_MOST_LINES:]
    if not told:
        return None
    values = [v for t in told for v in t.steps.values()]
    last = max(max(t.steps) for t in told)
    unit = "fold" if search.about.get("folds") else "epoch"
    chart = Chart("Values on the way", Axis(1, last, unit), _axis(values, search.metric.title))
    named: set[str] = set()
    for trial in sorted(told, key=lambda t: (t == search.best, t.state == "complete")):
        best, ended = trial == search.best, trial.state == "complete"
        colour: Series = "b" if best else "a" if ended else "g"
        name = f"trial {trial.number}, the best" if best else "complete" if ended else "pruned or stopped"
        dash = "solid" if best or ended else "dot"
        chart.line(list(trial.steps), list(trial.steps.values()), colour, "" if name in named else name, dash)
        named.add(name)
    shown = "" if len(told) < _MOST_LINES else f" The last {_MOST_LINES} trials."
    return chart.done(f"What each trial reported to the pruner.{shown}")


def piece(search: Search, key: str) -> Drawing | None:
    """The score against one key's value."""
    there = [t for t in search.of("complete") if key in t.values]
    if not there:
        return None
    x = _key_axis(search, key)
    chart = Chart(f"Score by {key}", x, _scores(there, search.metric.title))
    chart.points([_place(search, key, t.values[key]) for t in there], [_score(t) for t in there], "a", "complete")
    if search.best is not None and search.best in there:
        at = _place(search, key, search.best.values[key])
        chart.points([at], [_score(search.best)], "b", "the best", hollow=True)
    return chart.done("One dot a trial; the other keys differ too.")


def parallel(search: Search) -> Drawing | None:
    """One line a trial through the values of all keys, and its score on the right; the best tenth stands out."""
    complete = sorted(search.of("complete"), key=_score, reverse=not search.metric.maximise)
    if len(complete) < 2 or len(search.space) < 2:
        return None
    keys = list(search.space)
    names = (*(key.rpartition(".")[2] for key in keys), "score")
    places = tuple(float(i) for i in range(len(names)))
    chart = Chart(
        "Parallel coordinates",
        Named(-0.15, len(keys) + 0.35, "key", places, names=names),
        Named(-0.06, 1.06, "low to high"),
        width=max(400.0, 110.0 * len(names)),
    )
    low, high = _ends([_score(t) for t in complete])
    best = complete[-max(1, round(_TOP * len(complete))) :]
    for trial in complete:
        ys = []
        for key in keys:
            axis = _key_axis(search, key)
            ys.append((_place(search, key, trial.values[key]) - axis.low) / (axis.high - axis.low))
        ys.append((_score(trial) - low) / (high - low))
        colour: Series = "b" if trial in best else "f"
        first = trial is complete[0] or trial is best[0]
        name = "the best tenth" if colour == "b" else "the others"
        chart.line(places, ys, colour, name if first else "", "solid" if colour == "b" else "dot")
    for place, key in zip(places, keys, strict=False):
        axis = _key_axis(search, key)
        for at, said in axis.marks():
            _write(chart, place, (at - axis.low) / (axis.high - axis.low), said)
    for at, score in ((0.0, low), (1.0, high)):
        _write(chart, places[-1], at, f"{score:.3g}")
    return chart.done("Each key's axis runs from its lowest value at the bottom to its highest at the top.")


def _write(chart: Chart, x: float, y: float, said: str) -> None:
    left, down = chart.place(x, y)
    place = f'x="{left + 5:.1f}" y="{down + 4:.1f}" font-size="11"'
    chart.parts.append(f'<text {place} class="t-soft" fill="#56616c">{escape(said)}</text>')


def _key_axis(search: Search, key: str) -> Axis:
    entry, name = search.space[key], key
    if isinstance(entry, Choices):
        count = len(entry.values)
        names = tuple(_short(label) for label in entry.labels)
        return Named(-0.5, count - 0.5, name, tuple(float(i) for i in range(count)), names=names)
    if entry.log:
        low, high = math.log10(entry.low), math.log10(entry.high)
        powers = [float(p) for p in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]
        ticks = powers if len(powers) > 1 else [low, high]
        return Named(low, high, f"{name} (logarithmic)", tuple(ticks), names=tuple(f"{10**t:.3g}" for t in ticks))
    return Axis(entry.low, entry.high, name)


def _place(search: Search, key: str, value: Any) -> float:
    entry = search.space[key]
    if isinstance(entry, Range):
        return math.log10(value) if entry.log else float(value)
    return float(entry.values.index(value))


def _short(label: Any) -> str:
    text = str(label)
    return text if len(text) <= 16 else f"{text[:15]}…"


def _scores(trials: Sequence[Trial], title: str) -> Axis:
    return _axis([_score(t) for t in trials], title)


def _axis(values: Sequence[float], title: str) -> Axis:
    low, high = _ends(values)
    room = 0.05 * (high - low)
    return Axis(low - room, high + room, title)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The ends of some values, apart from each other even where all are equal."""
    low, high = min(values), max(values)
    if high - low > 1e-9 * max(1.0, abs(high)):
        return low, high
    room = 0.01 * max(1.0, abs(high))
    return low - room, high + room


def _score(trial: Trial) -> float:
    return math.nan if trial.score is None else trial.score
