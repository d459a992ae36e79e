"""Made records of a case, plain and with everything in it."""

from __future__ import annotations

from typing import Any

from insula.serve.narrative.record import (
    CaseRecord,
    Head,
    Hottest,
    Reason,
    Reviewed,
    Scanned,
    Spread,
)

CLASSES = ("healthy", "benign", "malignant")


def plain(**more: Any) -> CaseRecord:
    held: dict[str, Any] = {
        "question": "Does this brain MRI show a tumour, and is it benign or malignant?",
        "classes": CLASSES,
        "action": "accept",
        "model_name": "brain-tumour",
        "bundle_id": "061122740935c411",
        "target": "tumour",
        "label": "malignant",
        "confidence": 0.87,
        "probabilities": {"healthy": 0.04, "benign": 0.09, "malignant": 0.87},
        "prediction_set": ("malignant",),
        "domain_score": 0.42,
    }
    return CaseRecord(**{**held, **more})


def full(**more: Any) -> CaseRecord:
    held: dict[str, Any] = {
        "action": "refer",
        "reasons": (Reason("confidence", "0.62", "0.70"), Reason("domain"), Reason("spread", "0.12", "0.10", "views")),
        "confidence": 0.62,
        "probabilities": {"healthy": 0.08, "benign": 0.3, "malignant": 0.62},
        "spread": Spread("dropout", {"healthy": 0.01, "benign": 0.05, "malignant": 0.12}, 30),
        "prediction_set": ("benign", "malignant"),
        "domain_score": 0.97,
        "scans": (Scanned("mri", "MR", 28), Scanned("ct.2", "CT", 1)),
        "hottest": (Hottest("mri", "malignant", (7, 8, 12)),),
        "side": "left",
        "heads": (
            Head("stage", "classes", {"I": 0.1, "II": 0.55, "III": 0.25, "IV": 0.1}),
            Head("survival", "survival", {"log_hazard": -0.32, "event_free_365": 0.81, "event_free_730": 0.66}),
            Head("volume", "value", {"value": 31.4}),
        ),
        "reviews": (Reviewed("disagree"), Reviewed("absent", "malignant")),
        "warnings": ("sides", "other", "other"),
        "notes": ("the family asks for a second opinion",),
    }
    return plain(**{**held, **more})


def labels(**more: Any) -> CaseRecord:
    held: dict[str, Any] = {
        "question": "Is there intracranial haemorrhage on this head CT?",
        "classes": ("any", "epidural", "subdural"),
        "model_name": "haemorrhage-ct",
        "target": "haemorrhage",
        "label": "any",
        "present": False,
        "confidence": 0.996,
        "probabilities": {"any": 0.004, "epidural": 0.0, "subdural": 0.0004},
        "prediction_set": (),
    }
    return plain(**{**held, **more})


def rejected(**more: Any) -> CaseRecord:
    held: dict[str, Any] = {
        "action": "reject",
        "reasons": (Reason("body_part"),),
        "label": "",
        "confidence": None,
        "probabilities": {},
        "prediction_set": None,
        "domain_score": None,
    }
    return plain(**{**held, **more})


EVERY = {"plain": plain, "full": full, "labels": labels, "rejected": rejected}
