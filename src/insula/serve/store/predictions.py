"""Predictions as records: what the model said of a study, and what was made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert, select

from insula.core.types import Decision, Prediction
from insula.infer.uncertainty import entropy
from insula.infer.writers import as_dict
from insula.metrics.probabilities import Kind
from insula.serve.store import schema
from insula.serve.store.errors import MissingFileError
from insula.serve.store.files import Files, Stored
from insula.serve.store.in_use import hold_files
from insula.serve.store.paging import Visible, seen
from insula.serve.store.patients import insert_if_new, not_found


@dataclass(frozen=True)
class Made:
    """How a prediction came about. arm: `main`, `ab`, or `shadow` for one that nobody is shown; monitored: for drift.

    milliseconds: of the engine's work. kind, primary: of the recipe's first target, for the entropy.
    """

    model_name: str
    kind: Kind
    primary: int = 0
    arm: str = "main"
    job_id: str | None = None
    milliseconds: float = 0.0
    monitored: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class StoredPrediction:
    """One prediction with its answer (`insula.infer.writers.as_dict`, and `kinds` of the reasons).

    disagreed: whether a reader did; None for whom that must not be told yet.
    """

    id: str
    seq: int
    project_id: str
    study_id: str
    created_at: datetime
    bundle_id: str
    model_name: str
    arm: str
    action: str
    label: str
    confidence: float
    entropy: float | None
    domain_score: float | None
    answer: Mapping[str, Any]
    milliseconds: float
    reviewed: bool
    disagreed: bool | None


@dataclass(frozen=True)
class Artefact:
    """Something made of a prediction (a heat map, an array for the viewer, a report) that lies in the file store."""

    id: str
    kind: str
    role: str
    sha256: str
    size: int
    media_type: str


def store(connection: Connection, study_id: str, prediction: Prediction, decision: Decision, made: Made) -> str:
    """Keep a prediction of a study; its id. A second one of the same job and bundle is not kept: the first one's id.

    Of a rejected scan neither probabilities nor an entropy are kept. Raises RequestError 404 without such a study.
    """
    studies = schema.studies.c
    project = connection.execute(select(studies.project_id).where(studies.id == study_id)).scalar_one_or_none()
    if project is None:
        raise not_found("study")
    values = {
        "id": schema.new_id(),
        "project_id": project,
        "study_id": study_id,
        "job_id": made.job_id,
        "bundle_id": prediction.bundle_id,
        "model_name": made.model_name,
        "arm": made.arm,
        "action": decision.action,
        "label": decision.label,
        "confidence": round(decision.confidence, 6),
        "entropy": unsureness(prediction, decision, made.kind, made.primary),
        "domain_score": prediction.domain_score if math.isfinite(prediction.domain_score) else None,
        "answer": {**as_dict(prediction, decision), "kinds": list(decision.kinds)},
        "monitored": dict(made.monitored or {}),
        "milliseconds": made.milliseconds,
    }
    predictions = schema.predictions.c
    if made.job_id is None:
        connection.execute(insert(schema.predictions).values(values))
        return str(values["id"])
    insert_if_new(connection, schema.predictions, **values)
    first = (predictions.job_id == made.job_id, predictions.bundle_id == prediction.bundle_id)
    return str(connection.execute(select(predictions.id).where(*first)).scalar_one())


def unsureness(prediction: Prediction, decision: Decision, kind: Kind, primary: int = 0) -> float | None:
    """Predictive entropy in nats, by which reviews are ordered: the largest over the sources that were drawn.

    Without draws that of the probabilities themselves (`insula.infer.uncertainty.entropy`); None of a rejected scan.
    """
    if decision.action == "reject":
        return None
    drawn = [found.entropy for found in prediction.uncertainty.values() if math.isfinite(found.entropy)]
    if drawn:
        return max(drawn)
    plain = float(entropy(np.asarray(prediction.probabilities, np.float64), kind, primary))
    return plain if math.isfinite(plain) else None


def get(connection: Connection, prediction_id: str, visible: Visible) -> StoredPrediction:
    """One prediction. Raises RequestError 404 where there is none that may be seen."""
    predictions = schema.predictions
    wanted = select(predictions).where(predictions.c.id == prediction_id, *seen(visible, predictions))
    row = connection.execute(wanted).first()
    if row is None:
        raise not_found("prediction")
    return _prediction(row)


def of_study(
    connection: Connection, study_id: str, most: int | None = None, shadows: bool = True
) -> list[StoredPrediction]:
    """The predictions of a study, newest first: `most` at most; shadows: whether those of shadow models are wanted."""
    predictions = schema.predictions
    where = [predictions.c.study_id == study_id, *([] if shadows else [predictions.c.arm != "shadow"])]
    wanted = select(predictions).where(*where).order_by(predictions.c.seq.desc()).limit(most)
    return [_prediction(row) for row in connection.execute(wanted)]


def add_artefact(
    connection: Connection, files: Files, prediction_id: str, kind: str, role: str, stored: Stored, media_type: str
) -> None:
    """Name a stored file as made of a prediction; one of the same kind and role stays as it is.

    Raises MissingFileError for a file that was swept in between: put it again.
    """
    hold_files(connection, alone=False)
    if not files.has(stored.sha256):
        raise MissingFileError(f"The file {stored.sha256[:12]}… was removed before it was named; make it again.")
    values = {"kind": kind, "role": role, "sha256": stored.sha256, "size": stored.size, "media_type": media_type}
    insert_if_new(connection, schema.artefacts, id=schema.new_id(), prediction_id=prediction_id, **values)


def artefacts_of(connection: Connection, prediction_id: str) -> list[Artefact]:
    """What was made of a prediction."""
    made = schema.artefacts.c
    columns = (made.id, made.kind, made.role, made.sha256, made.size, made.media_type)
    rows = connection.execute(select(*columns).where(made.prediction_id == prediction_id).order_by(made.seq))
    return [Artefact(*row) for row in rows]


def add_sources(connection: Connection, prediction_id: str, scans: Mapping[str, Sequence[str]]) -> None:
    """Keep which files (ids) the scans of a prediction were made from; what is known of a scan stays as it is."""
    for scan, files in scans.items():
        values = {"prediction_id": prediction_id, "scan": scan, "files": list(files)}
        insert_if_new(connection, schema.prediction_sources, id=schema.new_id(), **values)


def sources_of(connection: Connection, prediction_id: str) -> dict[str, tuple[str, ...]]:
    """The ids of the files that the scans of a prediction were made from; empty where that was not kept."""
    kept = schema.prediction_sources.c
    rows = connection.execute(
        select(kept.scan, kept.files).where(kept.prediction_id == prediction_id).order_by(kept.seq)
    )
    return {row.scan: tuple(row.files) for row in rows}


def _prediction(row: Any) -> StoredPrediction:
    return StoredPrediction(**{name: getattr(row, name) for name in StoredPrediction.__dataclass_fields__})
