"""An evaluation as one HTML page that needs nothing beside itself, from its record."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from jinja2 import Template

from insula.core import templates
from insula.evaluate.gallery import OUTCOMES
from insula.evaluate.outcome import LIMITS
from insula.report import figures, words
from insula.report.checklist import answered
from insula.report.record import Record
from insula.report.style import sheet

_SECTIONS = (
    ("plan", "Plan and looks", "looks"),
    ("guards", "Guards", "guards"),
    ("figures", "Figures", ""),
    ("curves", "Curves", ""),
    ("thresholds", "Thresholds", ""),
    ("classes", "Classes", ""),
    ("prevalence", "Prevalence", ""),
    ("decision", "Decision curve", "decision_curve"),
    ("policy", "Policy", "risk_coverage"),
    ("beside", "Beside the model", "baselines permutation seeds readers"),
    ("localisation", "Heat and lesion", "localisation"),
    ("gallery", "Cases", "gallery"),
    ("misses", "Missed patients", ""),
    ("failures", "Failures", ""),
    ("methods", "Methods", ""),
    ("provenance", "Provenance", ""),
    ("checklists", "Checklists", ""),
)
_NET_BENEFIT_AT = (0.05, 0.1, 0.2, 0.3, 0.5)


def render(record: Record, pictures: Mapping[str, bytes] | None = None) -> str:
    """The page as text: charts as inline SVG, pictures embedded, no script and no address of any other file.

    pictures: the PNG of each file that the record's gallery names; one that is missing is said to be so.
    """
    facts = record["facts"]
    return template("evaluation.html").render(
        record=record,
        facts=facts,
        level=record["patient"],
        positive=record["patient"]["classes"][facts["positive"]],
        threshold=facts["thresholds"].get(facts["positive"], 0.5),
        charts=figures.of(record),
        gallery=_gallery(record, pictures or {}),
        checklists=answered.answered(record),
        sections=[(i, name) for i, name, keys in _SECTIONS if not keys or any(record.get(k) for k in keys.split())],
        decision_rows=_decision_rows(record),
        level_of_sets=_level_of_sets(record),
        set_sizes=_set_sizes(record),
    )


def template(name: str) -> Template:
    """A template of this package with what every page needs: words, limits and the style sheet."""
    pages = templates.environment("insula.report")
    pages.globals.update(words=words, limits=LIMITS, style=sheet())
    return pages.get_template(name)


def _gallery(record: Record, pictures: Mapping[str, bytes]) -> dict[str, list[tuple[Any, str]]]:
    coded = {name: base64.b64encode(data).decode() for name, data in pictures.items()}
    shown = {
        words.OUTCOMES[outcome]: [
            (item, coded.get(item["file"], "")) for item in record["gallery"] if item["outcome"] == outcome
        ]
        for outcome in OUTCOMES
    }
    return {name: items for name, items in shown.items() if items}


def _decision_rows(record: Record) -> list[int]:
    held = record.get("decision_curve")
    return [held["thresholds"].index(t) for t in _NET_BENEFIT_AT if t in held["thresholds"]] if held else []


def _level_of_sets(record: Record) -> float | None:
    model = record.get("model")
    level: float | None = model["recipe"]["policy"]["conformal_level"] if model else None
    return level


def _set_sizes(record: Record) -> str:
    held = record.get("prediction_sets")
    if not held:
        return ""
    return ", ".join(f"{count:,} with {size}" for size, count in enumerate(held["sizes"]) if count)
