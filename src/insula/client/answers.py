"""What the service answers, as plain frozen records; fields of a newer service that are not here are passed over.

What identifies a patient stays out of the records' `repr`, and so out of logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

ENDED: Final = frozenset({"done", "failed", "dead", "cancelled"})  # states of a job in which nothing follows


@dataclass(frozen=True)
class Health:
    """Whether the service is up and has a model."""

    status: str
    model_loaded: bool


@dataclass(frozen=True)
class ModelInfo:
    """The model of the plain endpoints. thresholds: class → probability from which it counts as present."""

    name: str
    question: str
    kind: str
    classes: tuple[str, ...]
    positive_class: str
    bundle_id: str
    modality: str = ""
    encoder: str = ""
    provider: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    intended_use: str = ""


@dataclass(frozen=True)
class Decided:
    """What stands beside a bare probability. decision: accept, refer or reject, with its reasons."""

    decision: str
    reasons: tuple[str, ...]
    prediction_set: tuple[str, ...]
    labels: tuple[str, ...]
    domain_score: float
    bundle_id: str
    warnings: tuple[str, ...] = ()
    uncertainty_source: str | None = None


@dataclass(frozen=True)
class Answer:
    """A prediction of the plain endpoint, of which the service keeps nothing.

    A rejected scan has no class: predicted_class is None, class_name empty, confidence 0, probabilities empty.
    """

    predicted_class: int | None
    class_name: str
    confidence: float
    probabilities: Mapping[str, float]
    insula: Decided
    uncertainty: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Project:
    """Patients that the same people may see."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True)
class StudyFile:
    """A file of a study. role: the model's input that it is for. size: bytes."""

    id: str
    role: str
    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Study:
    """The scans of one patient that are looked at together. facts: role → what was found in its files."""

    id: str
    project_id: str
    patient_id: str
    patient_key: str = field(repr=False)
    created_at: datetime
    version: int
    patient_name: str = field(default="", repr=False)
    created_by: str | None = None
    title: str = field(default="", repr=False)
    note: str = field(default="", repr=False)
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    files: tuple[StudyFile, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Job:
    """A long piece of work. progress: 0 to 1. error: `code` and `message` of one that failed."""

    id: str
    kind: str
    state: str
    created_at: datetime
    progress: float = 0.0
    step: str = ""
    attempts: int = 0
    study_id: str | None = None
    ended_at: datetime | None = None
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing follows any more."""
        return self.state in ENDED


@dataclass(frozen=True)
class Prediction:
    """What a model said of a study. answer: all of it, as `insula predict --json` writes it.

    disagreed: None where another has read it and a reviewer who asks has not answered yet.
    """

    id: str
    study_id: str
    created_at: datetime
    bundle_id: str
    model_name: str
    arm: str
    action: str
    label: str
    confidence: float
    reviewed: bool
    disagreed: bool | None
    answer: Mapping[str, Any] = field(repr=False)
    entropy: float | None = None
    domain_score: float | None = None
    milliseconds: float = 0.0


@dataclass(frozen=True)
class HistoryRow:
    """One line of the history. disagreed: as in a prediction."""

    id: str
    study_id: str
    created_at: datetime
    patient_key: str = field(repr=False)
    title: str = field(repr=False)
    bundle_id: str
    model_name: str
    arm: str
    action: str
    label: str
    confidence: float
    reviewed: bool
    disagreed: bool | None
    entropy: float | None = None


@dataclass(frozen=True)
class Scan:
    """One scan of a prediction. top: class → slices with most heat; weights: slice → its weight; slices from 1."""

    scan: str
    slices: int
    rows: int
    columns: int
    classes: tuple[str, ...]
    top: Mapping[str, tuple[int, ...]]
    weights: Mapping[int, float]


@dataclass(frozen=True)
class Summary:
    """A case in a few sentences. source: `template`, or `model` where a language model phrased it."""

    text: str
    language: str
    source: str
    reason: str = ""


@dataclass(frozen=True)
class Quotes:
    """What the record says to a question, in its own sentences."""

    text: str
    quotes: tuple[Mapping[str, Any], ...]
    source: str
    reason: str = ""


@dataclass(frozen=True)
class Review:
    """What a reader said of a study. replaced_by: the same reader's later word."""

    id: str
    created_at: datetime
    study_id: str
    prediction_id: str | None
    reviewer_id: str | None
    target: str
    verdict: str
    label: str | None
    comment: str = field(repr=False)
    signature: str
    blinded: bool
    replaced_by: str | None = None


@dataclass(frozen=True)
class Waiting:
    """A prediction that waits for a reader."""

    id: str
    study_id: str
    action: str
    label: str
    confidence: float
    entropy: float | None = None


@dataclass(frozen=True)
class Model:
    """A model of the service. state: candidate, shadow, ab, active, retired. share: of patients that the B arm gets."""

    bundle_id: str
    name: str
    state: str
    loaded: bool
    created_at: datetime
    changed_at: datetime
    share: float = 0.0
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
