"""Reports over made predictions and their records, for the pages and texts that show them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from insula.evaluate.facts import Facts
from insula.evaluate.gallery import GalleryItem
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import evaluate_table
from insula.evaluate.table import frame
from insula.metrics.probabilities import Kind
from insula.report.record import Record, name_of, of_report


def make(
    classes: Sequence[str] = ("normal", "stroke"),
    kind: Kind = "multiclass",
    patients: int = 24,
    only: int | None = None,
    **more: Any,
) -> EvaluationReport:
    """Two cases a patient; the last class is the positive one. only: the one class that every patient has."""
    rng = np.random.default_rng(3)
    k, n = len(classes), 2 * patients
    index = np.repeat(np.arange(patients) % k, 2) if only is None else np.full(n, only)
    y = np.eye(k, dtype=bool)[index]
    logits = rng.normal(0, 1.2, (n, k)) + 0.7 * y
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    hit = y[:, -1] & (p[:, -1] >= 0.4)
    columns: dict[str, Any] = {
        "action": ["accept", "refer", "accept", "reject"] * (n // 4),
        "reason_kinds": (["", "confidence", "", "distance", "", "confidence;spread", "", "distance"] * n)[:n],
        "domain_score": rng.random(n),
        "peak_inside": np.where(hit, rng.random(n) < 0.7, np.nan),
        "heat_inside": np.where(hit, 0.6, np.nan),
        "lesion_share": np.where(hit, 0.05, np.nan),
        "region_share": np.where(hit, 0.4, np.nan),
        "region": np.where(hit, "brain", ""),
        "iou": np.where(hit, np.linspace(0.1, 0.7, n), np.nan),
        "heat_near": np.where(hit, 0.3, np.nan),
        "heat_outside": np.where(hit, np.linspace(0.0, 0.2, n), np.nan),
    }
    columns |= {f"set_{name}": p[:, i] > 0.25 for i, name in enumerate(classes)}
    keys = [f"case-{i}" for i in range(n)]
    table = frame(keys, [f"P{i // 2}" for i in range(n)], p, y, classes, columns)
    facts = Facts("made-ct", "Is there a stroke?", "answer", kind, tuple(classes), classes[-1], {classes[-1]: 0.4})
    return evaluate_table(table, facts, replicates=60, **more)


def held(report: EvaluationReport, pictures: Sequence[GalleryItem] = ()) -> Record:
    """The record of a report as it comes back from its JSON."""
    content: Record = json.loads(json.dumps(of_report(report, None, pictures), allow_nan=False))
    return content


@cache
def plain() -> EvaluationReport:
    """The report that most tests look at."""
    return make(source={"cohort": "somewhere", "split": "test", "split_level": "patient"})


@cache
def record() -> Record:
    """The record of the plain report with two pictures."""
    return held(plain(), (item(), item(outcome="FN")))


@cache
def without_positives() -> EvaluationReport:
    """A report of a cohort in which nobody has the positive class, so that half of its figures are not defined."""
    return make(only=0)


def item(caption: str = "case-1, p(stroke) = 0.91", outcome: str = "TP") -> GalleryItem:
    stream = io.BytesIO()
    Image.fromarray(np.arange(12 * 8 * 3, dtype=np.uint8).reshape(12, 8, 3)).save(stream, "PNG")
    return GalleryItem("case-1", outcome, 0.91, stream.getvalue(), caption)


def pictures(*items: GalleryItem) -> dict[str, bytes]:
    """The files of a gallery."""
    return {name_of(one, i): one.png for i, one in enumerate(items)}
