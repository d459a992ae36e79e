"""Whether the probabilities may be taken at their word: the slope of their logits, and confidence against truth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from insula.audit.ground import Floats, Ground
from insula.audit.part import Check, Part
from insula.audit.verdict import finding, size
from insula.core.types import Finding
from insula.metrics import calibration_slope
from insula.metrics.classification import ratio
from insula.metrics.intervals import Figure
from insula.metrics.resample import figure

if TYPE_CHECKING:
    import pandas as pd

_DOUBT = 10.0  # patients' worth, see `metrics.calibration_slope.doubt`; near separation a slope has no sound interval
TITLE = "May the probabilities be taken at their word?"


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`calibration/slope`: how far it lies from 1. `calibration/confidence`: mean confidence less the share right."""
    rows = ground.patients
    y, p = ground.positive(rows), ground.scores(rows)
    limits = ground.limits.calibration
    slope = calibration_slope.slope(y, p, rows.patients)
    gap = confidence_gap(y, p, rows.patients, ground.replicates, ground.seed)
    return Part(
        "calibration", TITLE, (_slope(slope, limits.slope, calibration_slope.doubt(y, p)), _gap(gap, limits.confidence))
    )


def confidence_gap(y: object, p: Floats, patients: object, replicates: int, seed: int) -> Figure:
    """Mean of max(p, 1 − p) less the share of patients whose more probable side is the true one.

    Above 0 the model is surer than it is right, below 0 it is righter than it is sure. y (n,) bool, p (n,), patients
    (n,) keys.
    """
    truth = np.asarray(y, dtype=bool)
    each = np.maximum(p, 1 - p) - ((p >= 0.5) == truth)
    return figure(
        "confidence gap", lambda w: ratio(w @ each, w.sum(1)), np.asarray(patients), int(truth.sum()), "no patient",
        replicates, seed,
    )  # fmt: skip


def _slope(slope: Figure, limit: float | None, doubt: float) -> Finding:
    how = "too extreme" if slope.value < 1 else "too timid"
    told = f"The slope of the logits is {slope.value:.2f}, where 1 is right: the probabilities are {how}."
    if not np.isfinite(slope.value):
        told = "The slope of the logits has no estimate, which is no sign that they are wrong."
    judged = finding("calibration/slope", size(slope, 1.0), limit, told)
    if judged.verdict == "fail" and doubt < _DOUBT:
        few = (
            f"Nearly every answer is sure once it is corrected: the slope rests on {doubt:.1f} patients' worth of "
            f"doubt, and {_DOUBT:g} are needed to judge it."
        )
        return replace(judged, verdict="cannot tell", evidence=f"{told} {few}")
    return judged


def _gap(gap: Figure, limit: float | None) -> Finding:
    how = "surer than it is right" if gap.value > 0 else "righter than it is sure"
    told = f"On average the model is {abs(gap.value):.3f} {how}."
    return finding("calibration/confidence", size(gap), limit, told)


CHECK = Check("calibration", TITLE, judge)
