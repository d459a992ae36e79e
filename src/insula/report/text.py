"""The short form of a report for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from insula.evaluate.outcome import LIMITS, EvaluationReport
from insula.report import held_back, words


def summary(report: EvaluationReport) -> str:
    """Headline, a table of the positive class's figures with intervals and counts, coverage, failures."""
    held = report.to_dict()
    positive, level = held["facts"]["positive"], held["patient"]
    on = words.plural(level["patients"], level["name"])
    lines = [held["headline"], "", *_table(f"{positive}, {on}", level, positive)]
    if held["coverage"]:
        lines += ["", "Policy"]
        rows = [
            (words.name(key), words.value(f), words.interval(f), words.basis("share", f, "cases"))
            for key, f in held["coverage"].items()
        ]
        lines += _aligned(rows)
    if reasons := held_back.lines(held):
        lines += ["", "Why cases were not accepted", *_aligned(reasons), held_back.said(held)]
    if held["localisation"]:
        found = held["localisation"]
        lines += [
            "",
            f"Heat peak inside the lesion: {found['hits']} of {found['n']} true positives "
            f"({words.interval(found['pointing'])}); by chance {words.percent(found['chance'])}.",
        ]
        lines += [_heat(one, found["region"]) for one in found["lesions"][:1]]  # kinds of lesions: on the page
    lines += _beside(held)
    if held["failures"]:
        first = held["failures"][0]
        count = words.plural(len(held["failures"]), "case")
        lines += ["", f"{count} could not be predicted; the first: {first['case']}: {first['reason']}"]
    lines += ["", *(f"Note: {note}" for note in words.gathered(held["notes"])), LIMITS]
    return "\n".join(lines)


def _heat(one: dict[str, Any], region: str) -> str:
    """Where the map of one class lies over the lesions of one kind, or of all."""
    shares = [f"heat in it {words.percent(one['inside']['value'])}"]
    if one["near"]["value"] is not None:
        shares.append(f"in the rest of the {region} {words.percent(one['near']['value'])}")
        shares.append(f"outside {words.percent(one['outside']['value'])}")
    iou, where = one["iou"], f"{one['map_of']} on {one['lesion'] or 'all lesions'} ({one['n']})"
    ends = f" ({words.span(iou['interval'])})" if iou["interval"] else ""
    return f"  Map of {where}: IoU {words.percent(iou['value'])}{ends}; {', '.join(shares)}."


def _beside(held: dict[str, Any]) -> list[str]:
    """What else there is to be known before the figures are believed, one line each."""
    said = []
    if held["looks"]:
        said.append(held["looks"]["sentence"])
    if held["site"]:
        said.append(f"Internal or external: {held['site']['standing']} ({words.clause(held['site']['reason'])}).")
    if held["baselines"]:
        said.append(held["baselines"]["sentence"])
    shuffled = held["permutation"]
    if shuffled and shuffled["roc_auc"] is not None:
        ends = f"{words.number(shuffled['low'])} to {words.number(shuffled['high'])}"
        said.append(f"Labels shuffled over patients: ROC-AUC {ends} (p {words.chance(shuffled['p_value'])}).")
    if held["seeds"]:
        area = held["seeds"]["figures"].get("roc_auc")
        if area:
            said.append(
                f"{len(held['seeds']['bundles'])} seeds: ROC-AUC {words.number(area['mean'])} on average, "
                f"{words.number(area['low'])} to {words.number(area['high'])}."
            )
    return ["", *said] if said else []


def _table(title: str, level: dict[str, Any], name: str) -> list[str]:
    rows = [
        (words.name(key), words.value(f), words.interval(f), words.basis(key, f, f"{level['name']}s"))
        for key, f in words.ordered(level["classes"][name]["figures"])
    ]
    return [title, *_aligned([("", "value", "95% interval", "on"), *rows])]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
