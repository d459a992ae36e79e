"""What the worklist's answers hold."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from insula.serve.api.shapes import Given
from insula.serve.store.worklist import State


class WorklistScan(Given):
    """One scan of a study."""

    modality: str
    slices: int


class WorklistJob(Given):
    """The newest job of a study."""

    id: str
    state: str
    progress: float
    step: str
    error: dict[str, Any] | None


class WorklistAnswer(Given):
    """The newest prediction of a study. label: empty where the scan was rejected."""

    id: str
    created_at: datetime
    model_name: str
    action: Literal["accept", "refer", "reject"]
    label: str
    confidence: float
    reviewed: bool


class WorklistRow(Given):
    """One study. state: work that goes on or failed, else its answer. reviewed: its newest prediction is.

    Where there is no prediction, `reviewed` says whether somebody has labelled the study.
    """

    id: str
    project_id: str
    project: str
    patient_id: str
    patient_key: str
    patient_name: str
    created_at: datetime
    title: str
    state: State
    scans: list[WorklistScan]
    job: WorklistJob | None
    prediction: WorklistAnswer | None
    reviewed: bool
