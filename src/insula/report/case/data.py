"""The case report as JSON, and the schema that it keeps to (`case.schema.json` beside this file)."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from typing import Any, Final

from insula.core.provenance import sha256_bytes
from insula.metrics.prevalence import Ends
from insula.report.case.record import CaseReport, Given, Measured, Picture, as_shown
from insula.report.case.texts import texts

SCHEMA: Final = "insula.case-report/1"


def case_json(report: CaseReport) -> dict[str, Any]:
    """The report as plain data: every number as in the record, what is not defined null, pictures by their SHA-256.

    The patient's name and id are in it, as in the page and the PDF. UsageError for a language it does not speak.
    """
    shown = as_shown(report)
    t = texts(shown.language)
    review = shown.review
    return {
        "schema": SCHEMA,
        "limits": t["limits"],
        "no_proof": t["no_proof"],
        "id": shown.id,
        "made_at": shown.made_at.isoformat(),
        "language": shown.language,
        "patient": {"subject": shown.patient.subject, "name": shown.patient.name, "id": shown.patient.id},
        "study": {
            "title": shown.study.title,
            "date": shown.study.date or None,
            "scans": [
                {
                    "role": one.role,
                    "modality": one.modality,
                    "slices": one.slices,
                    "spacing": list(one.spacing) if one.spacing else None,
                    "units": one.units,
                    "warnings": list(one.warnings),
                }
                for one in shown.study.scans
            ],
        },
        "question": shown.question,
        "answer": _answer(shown.answer),
        "prevalences": [
            {
                "prevalence": row.prevalence,
                "ppv": _ends(row.ppv),
                "npv": _ends(row.npv),
                "alerts_per_1000": _ends(row.alerts_per_1000),
            }
            for row in shown.prevalences
        ],
        "further": [
            {
                "target": one.target,
                "kind": one.kind,
                "event": one.event,
                "values": [{"name": v.name, "value": _known(v.value), "spread": _known(v.spread)} for v in one.values],
            }
            for one in shown.further
        ],
        "pictures": [_picture(one) for one in shown.pictures],
        "summary": None if shown.summary is None else {"text": shown.summary.text, "source": shown.summary.source},
        "notes": list(shown.notes),
        "review": None
        if review is None
        else {
            "verdict": review.verdict,
            "label": review.label,
            "comment": review.comment,
            "signed_by": review.signed_by,
            "at": review.at.isoformat(),
        },
        "model": {
            "name": shown.model.name,
            "bundle_id": shown.model.bundle_id,
            "encoder": shown.model.encoder,
            "insula": shown.model.insula,
            "measured_on": shown.model.measured_on,
            "figures": [_figure(one) for one in shown.model.figures],
        },
    }


@cache
def _schema() -> str:
    return files("insula.report.case").joinpath("case.schema.json").read_text(encoding="utf-8")


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of what `case_json` gives."""
    found: dict[str, Any] = json.loads(_schema())
    return found


def _answer(given: Given) -> dict[str, Any]:
    rejected = given.action == "reject"
    return {
        "action": given.action,
        "reasons": list(given.reasons),
        "kinds": list(given.kinds),
        "label": None if rejected else given.label,
        "confidence": _known(given.confidence),
        "positive": given.positive,
        "finding": given.finding,
        "classes": [
            {
                "name": row.name,
                "probability": _known(row.probability),
                "spread": _known(row.spread),
                "threshold": _known(row.threshold),
                "in_set": row.in_set,
            }
            for row in given.classes
        ],
        "prediction_set": list(given.prediction_set),
        "set_level": given.set_level,
        "spread_of": given.spread_of,
        "domain_score": _known(given.domain_score),
    }


def _picture(one: Picture) -> dict[str, Any]:
    return {
        "role": one.role,
        "part": one.part,
        "slice": one.slice,
        "of": one.of,
        "scan_sha256": sha256_bytes(one.scan),
        "map_sha256": None if one.map is None else sha256_bytes(one.map),
        "finding": one.finding,
        "present": one.present,
        "top": _known(one.top),
        "unit": one.unit,
        "sided": one.sided,
    }


def _figure(one: Measured) -> dict[str, Any]:
    return {
        "key": one.key,
        "value": _known(one.value),
        "interval": list(one.interval) if one.interval else None,
        "n": one.n,
        "events": one.events,
        "reason": one.reason,
    }


def _ends(three: Ends) -> dict[str, float | None]:
    return dict(zip(("value", "low", "high"), map(_known, three), strict=True))


def _known(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None
