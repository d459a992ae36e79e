"""A client of the service: `Client`, the records that it answers with, and what it raises."""

from __future__ import annotations

from insula.client.answers import (
    Answer,
    Decided,
    Health,
    HistoryRow,
    Job,
    Model,
    ModelInfo,
    Prediction,
    Project,
    Quotes,
    Review,
    Scan,
    Study,
    StudyFile,
    Summary,
    Waiting,
)
from insula.client.client import Client
from insula.client.errors import JobFailedError, RemoteError, UnfinishedError, UnreachableError

__all__ = [
    "Answer",
    "Client",
    "Decided",
    "Health",
    "HistoryRow",
    "Job",
    "JobFailedError",
    "Model",
    "ModelInfo",
    "Prediction",
    "Project",
    "Quotes",
    "RemoteError",
    "Review",
    "Scan",
    "Study",
    "StudyFile",
    "Summary",
    "UnfinishedError",
    "UnreachableError",
    "Waiting",
]
