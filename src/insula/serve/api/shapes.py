"""What `/api/v1` takes and gives: the bodies of its requests and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from insula.serve.invalid import ID
from insula.serve.models.offered import NAME

Id = Annotated[str, Field(pattern=ID, examples=["3f0c2e5d9a4b4d6c8e1f7a2b3c4d5e6f"])]
Text = Annotated[str, Field(max_length=20_000)]
Short = Annotated[str, Field(max_length=200)]


class Asked(BaseModel):
    """A request's body: what it does not know is refused, so that a misspelt field is not passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _no_nul(cls, given: Any) -> Any:
        if _holds_nul(given):  # which PostgreSQL does not store
            raise ValueError("a text holds a NUL character")
        return given


def _holds_nul(given: Any) -> bool:
    if isinstance(given, dict):
        return any(_holds_nul(k) or _holds_nul(v) for k, v in given.items())
    if isinstance(given, list):
        return any(_holds_nul(v) for v in given)
    return isinstance(given, str) and "\0" in given


class Given(BaseModel):
    """An answer's body, made from a record of the same field names."""

    model_config = ConfigDict(from_attributes=True)


class StudyFile(Given):
    """A file of a study. role: the model's input that it is for; `scan` where the service tells it apart."""

    id: str
    role: str
    name: str
    sha256: str
    size: int


class Study(Given):
    """The scans of one patient that are looked at together."""

    id: str
    project_id: str
    patient_id: str
    patient_key: str
    patient_name: str
    created_at: datetime
    created_by: str | None
    title: str
    note: str
    attributes: dict[str, Any]
    facts: dict[str, Any]
    version: int


class StudyWithFiles(Study):
    """A study and its files."""

    files: list[StudyFile]


class StudyChange(Asked):
    """What is to be different about a study."""

    title: Short | None = None
    note: Text | None = None


class Join(Asked):
    """Studies of one patient that are to be one case."""

    studies: Annotated[list[Id], Field(min_length=2, max_length=16)]


# Predictions


class Predict(Asked):
    """What to predict a study with.

    model: the recipe's name or a bundle's id; may be left out where one model is in charge. series: of a role whose
    files hold several series, the number of the one to take. attributes: clinical columns, above the study's own.
    """

    model: Annotated[str, Field(max_length=120)] | None = None
    series: dict[Annotated[str, Field(max_length=40)], Annotated[int, Field(ge=1, le=10_000)]] = {}
    attributes: dict[Annotated[str, Field(max_length=60)], Annotated[str, Field(max_length=200)]] = {}
    uncertainty: bool = False


class Prediction(Given):
    """What a model said of a study. answer: as `insula predict --json` writes it.

    disagreed: null for a reviewer who has not answered yet where another has, so that the second reading is his own.
    """

    id: str
    study_id: str
    created_at: datetime
    bundle_id: str
    model_name: str
    arm: str
    action: Literal["accept", "refer", "reject"]
    label: str
    confidence: float
    entropy: float | None
    domain_score: float | None
    milliseconds: float
    reviewed: bool
    disagreed: bool | None
    answer: dict[str, Any]


class HistoryRow(Given):
    """One line of the history. disagreed: as in a prediction."""

    id: str
    study_id: str
    created_at: datetime
    patient_key: str
    title: str
    bundle_id: str
    model_name: str
    arm: str
    action: str
    label: str
    confidence: float
    entropy: float | None
    reviewed: bool
    disagreed: bool | None


class Scan(BaseModel):
    """One scan of a prediction, as pictures can be had of it. top: slices with most heat by class, counted from 1."""

    scan: str
    slices: int
    rows: int
    columns: int
    classes: list[str]
    top: dict[str, list[int]]
    weights: dict[int, float]


class Job(Given):
    """A long piece of work. result: where its outcome is, once it is done."""

    id: str
    kind: str
    state: str
    progress: float
    step: str
    attempts: int
    study_id: str | None
    created_at: datetime
    ended_at: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None


# Reviews


class NewReview(Asked):
    """What a reader says of a study.

    prediction: that is agreed with or overridden; left out, the study is labelled from scratch. target: the question,
    by its name in the recipe. label: the reader's own, where he does not agree. signature: the reader's name, typed.
    """

    target: Annotated[str, Field(min_length=1, max_length=64)]
    verdict: Literal["agree", "override", "cannot_tell"]
    signature: Annotated[str, Field(min_length=1, max_length=200)]
    prediction: Id | None = None
    label: Annotated[str, Field(max_length=120)] | None = None
    comment: Text = ""


class Review(Given):
    """What a reader said. replaced_by: the same reader's later word."""

    id: str
    created_at: datetime
    study_id: str
    prediction_id: str | None
    reviewer_id: str | None
    target: str
    verdict: str
    label: str | None
    comment: str
    signature: str
    blinded: bool
    replaced_by: str | None


class Waiting(Given):
    """A prediction that waits for a reader."""

    id: str
    study_id: str
    action: str
    label: str
    confidence: float
    entropy: float | None


class NewCohort(Asked):
    """Reviewed studies as a cohort to train and evaluate on. model: whose recipe says how; as in a prediction."""

    model: Annotated[str, Field(max_length=120)] | None = None


# Models


class NewModel(Asked):
    """A bundle to load. name: of its folder below INSULA_MODELS."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=NAME)]


class ModelState(Asked):
    """What a model is to do. share: of patients that get the B arm of a comparison."""

    state: Literal["candidate", "shadow", "ab", "active", "retired"]
    share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None


class Model(BaseModel):
    """A model of the service. info: as `/model_info` says it."""

    bundle_id: str
    name: str
    state: str
    share: float
    created_at: datetime
    changed_at: datetime
    loaded: bool
    info: dict[str, Any]


class Question(Asked):
    """A question about a case."""

    question: Annotated[str, Field(min_length=1, max_length=500)]
    language: Literal["en", "tr"] = "en"


class Entry(Given):
    """An entry of the trail."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    outcome: str
    detail: str
    previous: str
    mac: str
