"""What is done with a probability."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from insula.core.recipe_section import Probability, Section

Source = Literal["dropout", "views", "members"]
Limit = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class OperatingPoint(Section):
    """The aim by which the threshold is chosen on validation patients; exactly one.

    sensitivity, specificity: reached by the threshold that costs least of the other. youden: the largest sum of both.
    f2: the largest F2, in which a missed patient weighs four times a false alarm. cost: the least loss, where a missed
    patient costs so many false alarms, at the prevalence of the validation patients.
    """

    sensitivity: Probability | None = None
    specificity: Probability | None = None
    youden: bool = False
    f2: bool = False
    cost: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _one(self) -> OperatingPoint:
        given = sum(aim is not None for aim in (self.sensitivity, self.specificity, self.cost))
        if given + self.youden + self.f2 != 1:
            raise ValueError(
                "operating_point takes exactly one of sensitivity, specificity, cost, youden: true, f2: true"
            )
        return self


class Risk(Section):
    """Refer until the share of mistakes is at most `error`, with this confidence, as validation patients show it.

    of: `error`, wrong answers among the accepted cases; `missed`, positive patients who are accepted as negative.
    error: the largest share of them. confidence: that the bound holds.
    """

    of: Literal["error", "missed"] = "error"
    error: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95


class Refer(Section):
    """A person looks when confidence is below its limit, or another score above its own; null switches a limit off.

    by: the source that the next three are of: dropout passes, views of the scan (moved as the training pictures were),
    or members of an ensemble. spread: standard deviation of the decided class's probability. entropy: of the mean
    probabilities, in nats. mutual_information: the part of it that the draws disagree about, in nats. confidence: of
    the decided class, at least. domain: share of the validation cases that lie nearer to
    the training data; beyond it the scan is referred. risk: also below the confidence that keeps the error among the
    accepted cases within a bound.
    """

    confidence: Probability = 0.7
    by: Source = "dropout"
    spread: Limit | None = 0.1
    entropy: Limit | None = None
    mutual_information: Limit | None = None
    domain: Probability = 0.95
    risk: Risk | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """What has to be drawn before a decision: `by`, where a limit is set on one of its scores."""
        limits = (self.spread, self.entropy, self.mutual_information)
        return (self.by,) if any(limit is not None for limit in limits) else ()


class Refuse(Section):
    """What is no such scan and gets no answer; null, or an empty list, switches a check off.

    body_parts: words of which a header's body part must hold one, where it names another part of the body. shrink: how
    many times fewer pixels a side than the network takes a scan may have. aspect: of the longer to the shorter side.
    varied: share of a prepared scan's pixels that must be neither its darkest nor its brightest value. distance: from
    the training data, where 0 is the middle validation case and 1 that with 95% of them nearer.
    """

    body_parts: tuple[str, ...] = ("HEAD", "BRAIN", "SKULL", "CRANI", "CEREB", "NEURO")
    shrink: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] | None = 4.0
    aspect: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] | None = 3.0
    varied: Probability | None = 0.01
    distance: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] | None = 3.0


class Policy(Section):
    """What is done with a probability.

    calibration: what is fitted on validation cases beside the temperature: nothing, a line in the logit of each class,
    or rising steps, which take some hundred cases. operating_point: the aim of the threshold. refer: when a person
    looks. refuse: what gets no answer. aggregate: how a patient's inputs become one answer; learned: the power mean
    whose exponent gives the least log loss on validation patients. conformal_level: share of the patients whose set of
    possible classes is to hold the true one. passes: of dropout. prevalences: at which reports state predictive values.
    """

    calibration: Literal["temperature", "logistic", "isotonic"] = "temperature"
    operating_point: OperatingPoint = OperatingPoint(youden=True)
    refer: Refer = Refer()
    refuse: Refuse = Refuse()
    aggregate: Literal["mean", "max", "noisy_or", "majority", "learned"] = "mean"
    conformal_level: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    passes: Annotated[int, Field(ge=2)] = 30
    prevalences: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = (0.01, 0.05)
