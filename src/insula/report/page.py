"""The evaluation as one HTML page that needs nothing beside itself, and the same figures as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from insula import __version__
from insula.core import provenance, templates
from insula.evaluate.gallery import OUTCOMES, GalleryItem
from insula.evaluate.outcome import LIMITS, EvaluationReport
from insula.report import figures, words

_OUTCOME_NAMES = {
    "TP": "Found (true positive)",
    "FN": "Missed (false negative)",
    "FP": "False alarm (false positive)",
    "TN": "Rightly negative (true negative)",
}


def write(report: EvaluationReport, folder: Path, gallery: Sequence[GalleryItem] = ()) -> Path:
    """Write `report.html` and `report.json` into the folder; return the path of the page."""
    text = render(report, gallery)
    path = folder / "report.html"
    provenance.write_json(folder / "report.json", report.to_dict())
    provenance.write_text(path, text)
    return path


def render(report: EvaluationReport, gallery: Sequence[GalleryItem] = ()) -> str:
    """The page as text: figures as inline SVG, pictures embedded, no address of any other file."""
    pages = templates.environment("insula.report")
    pages.globals.update(words=words, version=__version__, limits=LIMITS)
    shown = {
        outcome: [(item, base64.b64encode(item.png).decode()) for item in gallery if item.outcome == outcome]
        for outcome in OUTCOMES
    }
    drawings = [
        ("Discrimination", figures.roc(report.patient, report.facts)),
        ("Calibration", figures.reliability(report.patient, report.facts)),
        ("Answers against truth", figures.confusion(report.patient, report.facts)),
        ("Predicted probabilities", figures.histogram(report.patient, report.facts)),
    ]
    return pages.get_template("evaluation.html").render(
        report=report,
        facts=report.facts,
        level=report.patient,
        positive=report.positive,
        drawings=[(title, Markup(svg)) for title, svg in drawings if svg],  # noqa: S704 (our own drawings)
        gallery={_OUTCOME_NAMES[name]: items for name, items in shown.items() if items},
    )
