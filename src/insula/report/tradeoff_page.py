"""Size, time and accuracy of several forms of a model as one HTML page, and as a table for documents."""

from __future__ import annotations

from pathlib import Path

from insula.core import provenance
from insula.evaluate.tradeoff import Form, Tradeoff
from insula.report.draw import LETTERS, Axis, Chart, Drawing
from insula.report.page import template
from insula.report.record import FIGURES

PAGE, TABLE = "pareto.html", "pareto.md"
HOW = {
    "as trained": "as trained",
    "int8": "8-bit integers",
    "channels": "fewer channels",
    "weights": "small weights zero",
    "distil": "taught",
}


def write(found: Tradeoff, folder: Path) -> Path:
    """Write `pareto.html`, `pareto.md` and `report.json` into the folder; gives the path of the page."""
    record = {"schema": 1, **found.to_dict(), "origin": provenance.record()}
    text = template("tradeoff.html").render(
        record=record,
        facts=record["facts"],
        drawings=[_chart(found, "time"), _chart(found, "size")],
        how=said_how,
        optimistic=[(form.name, reason) for form in found.forms for reason in form.optimistic],
    )
    provenance.write_json(folder / FIGURES, record)
    provenance.write_text(folder / TABLE, markdown(found))
    provenance.write_text(folder / PAGE, text)
    return folder / PAGE


def markdown(found: Tradeoff) -> str:
    """The table alone."""
    lines = [
        "| form | encoder | MB | ms a case (quartiles) | ROC-AUC (95%) | difference (95%), p after Holm | same answer "
        "| front |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_row(form) for form in found.forms)]) + "\n"


def said_how(how: str) -> str:
    """What was done to a bundle, for people: "8-bit integers of fewer channels"."""
    return " of ".join(HOW.get(part, part) for part in how.split(" of "))


def _row(form: Form) -> str:
    low, middle, high = form.ms
    gap = ""
    if form.difference is not None:
        gap = f"{form.difference.value:+.4f}{_ends(form.difference.interval, '+.4f')}, {_chance(form.adjusted)}"
    agreed = f"{100 * form.agreement.value:.1f}%"
    if form.agreement.interval is not None:
        agreed += f" ({100 * form.agreement.interval[0]:.1f} to {100 * form.agreement.interval[1]:.1f})"
    cells = (
        f"{form.name}: {said_how(form.how)}",
        form.encoder,
        f"{form.bytes / 1e6:.2f}",
        f"{middle:.2f} ({low:.2f} to {high:.2f})",
        f"{form.roc_auc.value:.3f}{_ends(form.roc_auc.interval, '.3f')}",
        gap,
        agreed,
        "yes" if form.front else "",
    )
    return f"| {' | '.join(cells)} |"


def _ends(interval: tuple[float, float] | None, how: str) -> str:
    return "" if interval is None else f" ({interval[0]:{how}} to {interval[1]:{how}})"


def _chance(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def _chart(found: Tradeoff, by: str) -> Drawing:
    """ROC-AUC with its interval over time or size; forms that no other one beats are filled."""
    across = [form.ms[1] if by == "time" else form.bytes / 1e6 for form in found.forms]
    ends = [form.roc_auc.interval or (form.roc_auc.value,) * 2 for form in found.forms]
    low = max(0.0, min(end[0] for end in ends) - 0.02)
    label = "milliseconds a case" if by == "time" else "megabytes of the graphs"
    chart = Chart(
        f"ROC-AUC by {by}", Axis(0, 1.1 * max(across), label), Axis(low, 1.0, "ROC-AUC of patients"), width=460
    )
    for k, (form, x, end) in enumerate(zip(found.forms, across, ends, strict=True)):
        series = LETTERS[k % len(LETTERS)]
        chart.stems((x,), (end[0],), (end[1],), series)
        chart.points((x,), (form.roc_auc.value,), series, form.name, hollow=not form.front)
    steps = sorted((x, form.roc_auc.value) for x, form in zip(across, found.forms, strict=True))
    best: list[tuple[float, float]] = []
    for x, area in steps:
        if not best or area > best[-1][1]:
            best.append((x, area))
    chart.reference([x for x, _ in best], [area for _, area in best], f"best up to this {by}")
    return chart.done("Filled: no other form is at least as small, as fast and as accurate, and better in one of them.")
