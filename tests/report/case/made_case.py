"""Made cases for the report of one case: people, answers and pictures that nobody has."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np

from insula.core.types import FloatArray
from insula.infer.overlay import Style, overlay
from insula.report.case.meaning import at_prevalences
from insula.report.case.pictures import png
from insula.report.case.record import (
    CaseReport,
    ClassRow,
    Further,
    Given,
    Measured,
    ModelFacts,
    Patient,
    Picture,
    Review,
    ScanFacts,
    Study,
    Summary,
    Value,
)

AT = datetime(2026, 11, 26, 14, 3, 9, tzinfo=UTC)
TURKISH = "İğüşçö Işıl ÖZTÜRK"
CHINESE = "王小明"
LONG = "Maria del Carmen Fernández de Córdoba y Álvarez de Toledo-Hohenlohe-Langenburg " * 2
_STYLE = Style(least=384)

FIGURES = (
    Measured("sensitivity", 0.943, (0.902, 0.971), 211, 199),
    Measured("specificity", 0.881, (0.856, 0.903), 782, 689),
    Measured("roc_auc", 0.967, (0.951, 0.98), 993, 211),
    Measured("brier", 0.071, (0.06, 0.083), 993, 211),
)
MODEL = ModelFacts(
    "haemorrhage-ct", "b0" * 32, "efficientnet_b0", "0.1.0", FIGURES, "993 validation patients, split by patient"
)
SIX = (
    ClassRow("any", 0.87, 0.034, 0.412345, True),
    ClassRow("epidural", 0.02, 0.006, 0.3, False),
    ClassRow("intraparenchymal", 0.81, 0.05, 0.37, True),
    ClassRow("intraventricular", 0.113, 0.02, 0.25, False),
    ClassRow("subarachnoid", 0.34, 0.071, 0.31, True),
    ClassRow("subdural", 0.051, 0.012, 0.4, False),
)
ANSWER = Given(
    "accept", "any", 0.87, True, "any", SIX, domain_score=0.42, set_level=0.9, spread_of="dropout"
)  # fmt: skip


def head(side: int = 96, bright: float = 0.0) -> FloatArray:
    """A head-like ellipse in [0, 1] with one bright spot."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    skull = (x / 0.72) ** 2 + (y / 0.9) ** 2
    picture = np.where(skull < 1, 0.42 + 0.06 * np.sin(9 * x) * np.cos(7 * y), 0.0)
    picture = np.where((skull < 1) & (skull > 0.86), 0.95, picture)
    spot = np.exp(-(((x - 0.3) / 0.16) ** 2 + ((y + 0.1) / 0.12) ** 2))
    return np.asarray(np.clip(picture + bright * spot * (skull < 0.8), 0, 1), np.float32)


def heat(cells: int = 7) -> FloatArray:
    """Heat on a coarse grid, strongest over the spot."""
    y, x = np.mgrid[-1 : 1 : cells * 1j, -1 : 1 : cells * 1j]
    return np.asarray(0.8734 * np.exp(-(((x - 0.3) / 0.4) ** 2 + ((y + 0.1) / 0.4) ** 2)) - 0.05, np.float32)


@cache
def picture(role: str = "ct", sided: bool = True, finding: str = "any", present: bool = True) -> Picture:
    """A slice with its map."""
    shown, plane = head(bright=0.5), heat()
    top = float(plane.max())
    plain = png(overlay(shown, plane, 0.0, _STYLE))
    return Picture(role, 12, 28, plain, png(overlay(shown, plane, top, _STYLE)), finding, present, top, sided=sided)


def case(**changes: Any) -> CaseReport:
    """An accepted haemorrhage with six labels."""
    whole = CaseReport(
        id="3f0c9a52d7e14b0f8f6a1f2f3f0c9a52",
        made_at=AT,
        patient=Patient("subject-7f3a", TURKISH, "TR-0042"),
        study=Study(
            "Beyin BT, kontrastsız", "2026-11-25", (ScanFacts("ct", "CT", 28, (0.488281, 0.488281, 5.0), "HU"),)
        ),
        question="Is there intracranial haemorrhage on this non-contrast head CT, and of which kind?",
        answer=ANSWER,
        model=MODEL,
        pictures=(picture(),),
        prevalences=at_prevalences(FIGURES, (0.01, 0.05, 0.2)),
        summary=Summary("The model answers “any” with a confidence of 0.87. The policy accepts the answer."),
        notes=("Fall from a ladder two hours ago.\nAnticoagulated.",),
    )
    return replace(whole, **changes)


def referred(**changes: Any) -> CaseReport:
    """A tumour on two scans, with stage and survival, that a person has to look at."""
    rows = (
        ClassRow("healthy", 0.214, 0.08, None, True),
        ClassRow("benign", 0.163, 0.06, None, False),
        ClassRow("malignant", 0.623, 0.121, 0.37, True),
    )
    given = Given(
        "refer",
        "malignant",
        0.623,
        True,
        "malignant",
        rows,
        (
            "confidence 0.62 is below 0.70",
            "spread 0.12 is above 0.10",
            "the scan is unlike the training scans (as far from them as or farther than 0.97 of the validation scans, "
            "above 0.95, most in its picture)",
        ),
        ("confidence", "spread", "domain"),
        0.97,
        0.9,
    )
    stages = (Value("I", 0.1, 0.02), Value("II", 0.2, 0.03), Value("III", 0.45, 0.08), Value("IV", 0.25, 0.05))
    survival = (Value("log_hazard", -0.42, 0.11), Value("event_free_365", 0.78, 0.05), Value("event_free_730", 0.61))
    return (
        case(
            language="tr",
            patient=Patient("subject-77", CHINESE, "病历-0001"),
            study=Study(
                "Tümör takibi",
                "2026-11-20",
                (
                    ScanFacts(
                        "mri", "MR", 160, (1.0, 1.0, 1.0), "a.u.", ("slices 3 and 4 are 7.5 mm apart, resampled",)
                    ),
                    ScanFacts("ct", "CT", 34, (0.45, 0.45, 4.0), "HU"),
                ),
            ),
            question="Do this patient's CT and brain MRI show a tumour?",
            answer=given,
            model=replace(MODEL, name="brain-tumour-fusion", encoder="resnet18"),
            pictures=(picture("mri", True, "malignant"), picture("ct", True, "malignant")),
            further=(Further("stage", "ordinal", stages), Further("survival", "survival", survival, "death")),
            summary=Summary("Model yanıtı “malignant”, güven 0.623.", "model"),
            review=Review("override", "Dr. Ayşe Yılmaz", AT, "benign", "Menenjiyom olabilir; İzlem önerilir."),
        )
        if not changes
        else replace(referred(), **changes)
    )


def rejected(**changes: Any) -> CaseReport:
    """A record in which everything that a rejected case may not show is still filled in."""
    given = replace(
        ANSWER,
        action="reject",
        reasons=("the scan is too unlike the training scans to be answered: 1.8 times as far, above 1.50",),
        kinds=("distance",),
    )
    return case(answer=given, further=(Further("stage", "ordinal", (Value("IV", 0.6123),)),), **changes)
