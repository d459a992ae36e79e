"""What the service says: the shapes of its answers, for the code and for /openapi.json."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from insula.core.recipe_policy import Source
from insula.core.recipe_target import Kind

INTENDED_USE = (
    "Research use only; not a medical device. The answer is a model's estimate on scans like those it was validated "
    "on, to be looked at by a qualified person; it is no diagnosis."
)


class Health(BaseModel):
    """Whether the service is up and has a model."""

    status: Literal["ok"]
    model_loaded: bool


class ModelInfo(BaseModel):
    """What is loaded.

    provider: the execution provider that runs the network. providers: those that are installed, in the order in which
    they are tried. provider_difference: how far the one in use is from the CPU on a made input, relative to the largest
    value of each output; null on the CPU itself. thresholds: class → probability from which it counts as present.
    uncertainty_source: whose spread is measured.
    """

    name: str
    question: str
    kind: Kind
    classes: list[str]
    positive_class: str
    bundle_id: str
    encoder: str
    provider: str
    providers: list[str]
    provider_difference: float | None
    modality: str
    thresholds: dict[str, float]
    uncertainty_source: Source
    metrics: dict[str, Any]
    intended_use: str


class Insula(BaseModel):
    """What Insula adds to a bare probability.

    reasons: of a referral or a rejection. labels: those at or above their own threshold (multilabel only).
    uncertainty_source: what the spread was drawn from, only when it was asked for.
    """

    decision: Literal["accept", "refer", "reject"]
    reasons: list[str]
    prediction_set: list[str]
    labels: list[str]
    domain_score: float
    bundle_id: str
    warnings: list[str]
    uncertainty_source: Source | None = None


class Answer(BaseModel):
    """One prediction.

    predicted_class: index of class_name in the model's classes; null where labels stand together and the headline
    label is absent ("no any"). uncertainty: standard deviation over the draws of the source that the policy refers by,
    only when asked for; null where the model has no such draws. A rejected scan has no class: predicted_class is null,
    class_name empty, confidence 0, and there are no probabilities, prediction set and uncertainty that could be read.
    """

    predicted_class: int | None
    class_name: str
    confidence: float
    probabilities: dict[str, float]
    uncertainty: dict[str, float] | None = None
    insula: Insula


class Fault(BaseModel):
    """Why there is no answer."""

    code: str
    message: str


class FaultBody(BaseModel):
    """The one body of every error."""

    error: Fault


class BatchItem(BaseModel):
    """One file of a batch: the fields of a prediction, or an error."""

    filename: str
    predicted_class: int | None = None
    class_name: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    uncertainty: dict[str, float] | None = None
    insula: Insula | None = None
    error: Fault | None = None


class BatchAnswer(BaseModel):
    """The files of a batch, in the order they came."""

    results: list[BatchItem]
