"""The report's charts, each from the record alone: the same numbers give the same bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape
from typing import Any

from insula.report.draw import COLOURS, DASHES, LETTERS, UNIT, Axis, Chart, Drawing, Series
from insula.report.record import Record
from insula.report.words import number, percent, plural

_LONGEST = 24
_BAND = "95% band over patients"


def of(record: Record) -> dict[str, Drawing]:
    """Every chart that the record has the numbers for, by name, in the order of the page."""
    made = {
        "roc": roc(record),
        "pr": precision_recall(record),
        "reliability": reliability(record),
        "histogram": histogram(record),
        "confusion": confusion(record),
        "decision": decision(record),
        "risk": risk_coverage(record),
    }
    return {name: drawing for name, drawing in made.items() if drawing}


def roc(record: Record) -> Drawing | None:
    """The ROC curve of the positive class with its pointwise 95% band and the operating point; None without one."""
    found, curves = _positive(record), record["patient"]["curves"]
    if found["roc"] is None:
        return None
    chart = Chart(f"ROC curve of {_name(record)}", _unit("1 − specificity"), _unit("sensitivity"))
    chart.reference((0, 1), (0, 1), "chance")
    if curves["band"]:
        x, low, high = curves["band"]
        chart.band(x, low, high, "a", _BAND)
    across, up = found["roc"]
    chart.line(across, up, "a", "ROC curve")
    sensitivity, specificity = (found["figures"][k]["value"] for k in ("sensitivity", "specificity"))
    if sensitivity is not None and specificity is not None:
        chart.points((1 - specificity,), (sensitivity,), "b", "threshold in use", hollow=True)
    for i, reader in enumerate((record.get("readers") or {"readers": ()})["readers"]):
        false, true = reader["point"]
        if false is not None and true is not None:
            chart.points((false,), (true,), LETTERS[2 + i % 6], f"reader {_short(reader['name'])}")
    return chart.done(_with_interval("area", found["figures"]["roc_auc"]))


def precision_recall(record: Record) -> Drawing | None:
    """Precision against recall with its band, chance and the operating point; None without a positive patient."""
    held, found = record.get("pr_curve"), _positive(record)
    if not held:
        return None
    chart = Chart(f"Precision and recall of {_name(record)}", _unit("sensitivity (recall)"), _unit("PPV (precision)"))
    chart.reference((0, 1), (held["prevalence"],) * 2, "chance")
    if held["band"]:
        x, low, high = held["band"]
        chart.band(x, low, high, "a", _BAND)
    chart.line(held["recall"], held["precision"], "a", "precision at each threshold")
    recall, precision = (found["figures"][k]["value"] for k in ("sensitivity", "ppv"))
    if recall is not None and precision is not None:
        chart.points((recall,), (precision,), "b", "threshold in use", hollow=True)
    return chart.done(_with_interval("average precision", found["figures"]["pr_auc"]))


def reliability(record: Record) -> Drawing:
    """Observed share against predicted probability in bins of equal mass, with Wilson's intervals."""
    curves, figures = record["patient"]["curves"], _positive(record)["figures"]
    points, ends = curves["reliability"], curves["observed"]
    x = _unit(f"predicted probability of {_short(_name(record))}")
    chart = Chart(f"Reliability diagram of {_name(record)}", x, _unit("observed share"))
    chart.reference((0, 1), (0, 1), "perfect calibration")
    chart.stems(points["predicted"], [e[0] for e in ends], [e[1] for e in ends], "a", "95% interval")
    chart.line(points["predicted"], points["observed"], "a")
    chart.points(points["predicted"], points["observed"], "a", _binned(points["count"]))
    said = [
        _with_interval(name, figures[key])
        for key, name in (("ece", "ECE"), ("calibration_slope", "slope"), ("calibration_intercept", "intercept"))
        if key in figures
    ]
    return chart.done("; ".join(said))


def _binned(counts: Sequence[int]) -> str:
    """How many bins there are, and how many patients are in each."""
    least, most = min(counts), max(counts)
    return (
        f"{plural(len(counts), 'bin')} of {plural(most, 'patient') if least == most else f'{least} to {most} patients'}"
    )


def histogram(record: Record) -> Drawing:
    """How the predicted probabilities of the positive class spread, by true class, with the threshold."""
    level, positive = record["patient"], _name(record)
    edges, groups = level["curves"]["edges"], level["curves"]["histogram"]
    named = sorted(groups.items(), key=lambda item: item[0] != positive)
    top = max(1, *(n for _, numbers in named for n in numbers))
    x = Axis(0, 1, f"predicted probability of {_short(positive)}", UNIT)
    chart = Chart("Predicted probabilities by true class", x, Axis(0, 1.06 * top, "patients"))
    letters: tuple[Series, ...] = ("b", *(s for s in LETTERS if s != "b"))
    for i, (name, numbers) in enumerate(named):
        dash = tuple(DASHES)[i % len(DASHES)]
        chart.stairs(edges, numbers, letters[i % len(letters)], f"{_short(name)} (n = {sum(numbers):,})", dash)
    used = record["facts"]["thresholds"].get(positive, 0.5)
    chart.upright(used, f"threshold {number(used)}")
    return chart.done()


def decision(record: Record) -> Drawing | None:
    """Net benefit of the model, of treating everybody and of treating nobody; None without a positive patient."""
    held = record.get("decision_curve")
    if not held:
        return None
    top = max(held["prevalence"], *held["model"], *(v for v in held["high"] if v is not None), 1e-3)
    y = Axis(-0.3 * top, 1.05 * top, "net benefit")
    chart = Chart(f"Decision curve of {_name(record)}", Axis(0, 1, "threshold probability", UNIT), y)
    chart.band(held["thresholds"], held["low"], held["high"], "a", _BAND)
    inside = [(t, v) for t, v in zip(held["thresholds"], held["treat_all"], strict=True) if v >= y.low]
    chart.line([t for t, _ in inside], [v for _, v in inside], "b", "act on everybody", "dash")
    chart.line((0, 1), (0, 0), "g", "act on nobody", "dot")
    chart.line(held["thresholds"], held["model"], "a", "act on the model's answer")
    return chart.done()


def risk_coverage(record: Record) -> Drawing | None:
    """The share of errors among the surest cases as fewer are answered, with the share that the policy accepts."""
    held = record.get("risk_coverage")
    if not held:
        return None
    highest = max(0.01, *held["risk"][len(held["risk"]) // 20 :], *held["band"][2][2:])
    x = Axis(0, 1, "cases answered, the surest first", UNIT, percent=True)
    chart = Chart("Risk and coverage", x, Axis(0, min(1.0, 1.1 * highest), "wrong among them", percent=True))
    share, low, high = held["band"]
    chart.band(share, low, high, "a", _BAND)
    chart.line([0, *held["coverage"]], [held["risk"][0], *held["risk"]], "a", "errors among the answered")
    shares = record.get("coverage") or {}
    accepted, right = shares.get("accepted"), shares.get("accuracy_of_accepted")
    if accepted and right and right["value"] is not None:
        chart.points((accepted["value"],), (1 - right["value"],), "b", "what the policy accepts", hollow=True)
    return chart.done(_with_interval("area", held["aurc"]))


def confusion(record: Record) -> Drawing:
    """The confusion matrix with counts and shares of each true class; of the positive label where labels combine."""
    level, positive = record["patient"], _short(_name(record))
    if level["confusion"] is not None:
        names, matrix = list(record["facts"]["classes"]), level["confusion"]
    else:
        c = _positive(record)
        names, matrix = [f"not {positive}", positive], [[c["tn"], c["fp"]], [c["fn"], c["tp"]]]
    k = len(names)
    left, top, size = 118.0, 30.0, 270.0 / k
    parts = [_label(left + 135, 18, "answer", "middle"), _label(14, 165, "truth", "middle", turned=True)]
    for i, line in enumerate(matrix):
        total = sum(line)
        parts.append(_label(left - 8, top + size * (i + 0.5) - 3, names[i], "end", room=left - 30))
        for j, count in enumerate(line):
            parts.append(_cell(left + size * j, top + size * i, size, count, total))
    for j, name in enumerate(names):
        parts.append(_label(left + size * (j + 0.5), top + 270 + 18, name, "middle", room=size - 4))
    label = escape(f"Confusion matrix over {sum(map(sum, matrix))} patients")
    svg = f'<svg role="img" aria-label="{label}" viewBox="0 0 400 330" font-family="system-ui, sans-serif">'
    return Drawing(svg + "".join(parts) + "</svg>", (), "Confusion matrix", "patients, and share of each true class")


def _cell(x: float, y: float, size: float, count: int, total: int) -> str:
    share = count / total if total else 0.0
    middle, half = x + size / 2, y + size / 2
    place = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{size - 2:.1f}" height="{size - 2:.1f}" rx="3"'
    ground = f'<rect {place} class="f-a" fill="{COLOURS["a"]}" fill-opacity="{0.06 + 0.5 * share:.3f}"/>'
    big = f'<text x="{middle:.1f}" y="{half + 2:.1f}" text-anchor="middle" font-size="{16 if size > 60 else 13}"'
    small = f'<text x="{middle:.1f}" y="{half + 18:.1f}" text-anchor="middle" font-size="12"'
    ink = 'class="t-ink" fill="#27323d"'
    return f"{ground}{big} {ink}>{count:,}</text>{small} {ink}>{percent(share, 0) if total else '–'}</text>"


def _label(x: float, y: float, said: str, anchor: str, turned: bool = False, room: float = 0.0) -> str:
    """Text of size 13; where there is little room it takes up to two lines, drawn a little closer together."""
    turn = f' transform="rotate(-90 {x:g} {y:g})"' if turned else ""
    lines = _lines(said, room) if room else [said]
    drawn = []
    for i, line in enumerate(lines):
        tight = f' textLength="{room:.0f}" lengthAdjust="spacingAndGlyphs"' if room and 7.2 * len(line) > room else ""
        place = f'x="{x:.1f}" y="{y + 14 * i:.1f}" text-anchor="{anchor}" font-size="13"'
        drawn.append(f'<text {place} class="t-ink" fill="#27323d"{turn}{tight}>{escape(line)}</text>')
    return "".join(drawn)


def _lines(said: str, room: float) -> list[str]:
    """A text in one or two lines that can be drawn in so much room with letters no narrower than seven tenths."""
    most = max(4, int(room / (0.7 * 7.2)))
    first, *rest = textwrap.wrap(said, most) or [""]
    if not rest:
        return [first]
    second = " ".join(rest)
    return [first, second if len(second) <= most else f"{second[: most - 1]}…"]


def _unit(label: str) -> Axis:
    return Axis(0, 1, label, UNIT)


def _positive(record: Record) -> Any:
    return record["patient"]["classes"][_name(record)]


def _name(record: Record) -> str:
    name: str = record["facts"]["positive"]
    return name


def _with_interval(name: str, figure: Any) -> str:
    ends: Sequence[float] | None = figure["interval"]
    if figure["value"] is None:
        return f"{name} not defined ({figure['reason']})"
    return f"{name} {number(figure['value'])}" + (f" ({number(ends[0])} to {number(ends[1])})" if ends else "")


def _short(name: str) -> str:
    """A class name that leaves room for the axes."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
