"""The judged heat maps of a model as a page without script, as JSON and as a table with a row a case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from insula.core import cells
from insula.core.provenance import record, write_json, write_text
from insula.evaluate.maps import Effect, MapsReport, table
from insula.evaluate.maps_findings import HARDLY
from insula.infer.heatmap import NO_PROOF
from insula.report import page, words
from insula.report.draw import UNIT, Axis, Chart, Drawing

_LONGEST = 24
PAGE, FIGURES, CASES = "maps.html", "maps.json", "maps.csv"


def write(report: MapsReport, folder: Path) -> tuple[Path, Path, Path]:
    """Write the page, `maps.json` and `maps.csv` into a folder; their paths in this order.

    What stands there under these names is replaced, whatever else is there stays.
    """
    paths = folder / PAGE, folder / FIGURES, folder / CASES
    write_text(paths[2], cells.sheet(table(report.cases)).to_csv(index=False))
    write_json(paths[1], report.to_dict() | {"origin": record()})
    write_text(paths[0], render(report))
    return paths


def render(report: MapsReport) -> str:
    """The page as text: charts as inline SVG, no picture of a patient, nothing from outside."""
    held = report.to_dict()
    return page.template("maps.html").render(
        record=held,
        facts=held["facts"],
        around=" or ".join(held["facts"]["regions"]),
        localisation=_localisation(held),
        charts=[
            drawing
            for drawing in (_effect(report, "deletion"), _effect(report, "insertion"), _cascade(held))
            if drawing
        ],
        checks=[*held["cascade"], *held["random"], *([held["shuffled"]] if held["shuffled"] else [])],
        real=held["lesions"][0] if held["lesions"] else None,
        hardly=HARDLY,
        no_proof=NO_PROOF,
        origin=record(),
    )


def summary(report: MapsReport) -> str:
    """The findings as lines for the terminal."""
    held = report.to_dict()
    facts = held["facts"]
    lines = [
        f"Maps of '{facts['class']}' by {facts['method']}: {words.plural(facts['cases'], 'case')} called so, "
        f"{words.plural(facts['patients'], 'patient')}.",
    ]
    lines += [
        f"  {one['lesion'] or 'all lesions'} ({one['n']}): IoU {_said(one['iou'])}, peak in the lesion "
        f"{_said(one['pointing'])}, heat in it {_said(one['inside'])}; "
        f"by chance {words.number(one['chance']['lesion'])}"
        for one in held["lesions"]
    ]
    if facts["regions"]:
        share, where = held["within"], " or ".join(facts["regions"])
        lines.append(f"  heat in the {where} {_said(share)}; by chance {words.number(held['within_chance'])}")
    lines += [f"  Warning: {text}" for text in held["warnings"]]
    lines += [f"  {text}" for text in held["findings"]]
    if held["failures"]:
        first = held["failures"][0]
        lines.append(
            f"{words.plural(len(held['failures']), 'case')} could not be judged; the first: {first['case']}: "
            f"{first['reason']}"
        )
    lines += [f"Note: {note}" for note in words.gathered(held["notes"])]
    return "\n".join([*lines, held["limits"]])


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _said(figure: Mapping[str, Any]) -> str:
    ends = f" ({words.interval(figure)})" if figure["interval"] else ""
    return f"{words.value(figure)}{ends}"


def _localisation(held: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the table of lesions takes; None without a lesion mask."""
    if not held["lesions"]:
        return None
    facts = held["facts"]
    return {"lesions": held["lesions"], "level": facts["level"], "region": " or ".join(facts["regions"])}


def _effect(report: MapsReport, name: str) -> Drawing:
    found: Effect = getattr(report, name)
    what = "covered" if name == "deletion" else "shown"
    chart = Chart(
        f"{name.capitalize()} of the hottest parts",
        Axis(0.0, 1.0, f"share of the pixels that are {what}", UNIT, percent=True),
        Axis(0.0, 1.0, f"probability of {_short(str(report.facts['class']))}", UNIT),
    )
    chart.band(found.shares, *found.band_random, "g")
    chart.band(found.shares, *found.band, "a", "95% over patients")
    chart.line(found.shares, found.random, "g", "random order", "dash")
    chart.line(found.shares, found.heat, "a", "hottest first")
    better = "smaller" if name == "deletion" else "larger"
    area, lot = (words.number(f.value) for f in (found.area, found.area_random))
    return chart.done(f"area {area}, in a random order {lot}; {better} is better")


def _cascade(held: Mapping[str, Any]) -> Drawing | None:
    """Rank correlation with the real map as more and more of the network is drawn anew."""
    stages = held["cascade"]
    if not stages:
        return None
    n = len(stages)
    chart = Chart(
        "Weights drawn anew, from the heads down",
        Axis(0.0, float(n), "parts of the network drawn anew", tuple(float(i) for i in range(n + 1))),
        Axis(-1.0, 1.0, "rank correlation with the real map"),
    )
    chart.reference((0.0, float(n)), (HARDLY, HARDLY), "alike from here on")
    chart.reference((0.0, float(n)), (0.0, 0.0))
    values = [1.0, *(s["similarity"]["value"] for s in stages)]
    values = [float("nan") if v is None else v for v in values]
    ends = [(i, s["similarity"]["interval"]) for i, s in enumerate(stages, start=1) if s["similarity"]["interval"]]
    chart.stems([float(i) for i, _ in ends], [e[0] for _, e in ends], [e[1] for _, e in ends], "a", "95% over patients")
    chart.line([float(i) for i in range(n + 1)], values, "a")
    known = [(float(i), v) for i, v in enumerate(values) if v == v]
    chart.points([x for x, _ in known], [y for _, y in known], "a", "mean over the cases")
    return chart.done("in the order of the table below; 1 is the same map, 0 nothing in common")
