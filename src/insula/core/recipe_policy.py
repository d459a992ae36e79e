"""What is done with a probability."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from insula.core.recipe_section import Probability, Section


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
    """

    of: Literal["error", "missed"] = "error"
    error: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95


class Refer(Section):
    """A person looks when confidence is below, the spread above, or the distance from training beyond these limits.

    risk: also below the confidence that keeps the error among the accepted cases within a bound.
    """

    confidence: Probability = 0.7
    spread: Annotated[float, Field(ge=0.0)] = 0.1
    domain: Probability = 0.99
    risk: Risk | None = None


class Policy(Section):
    """What is done with a probability.

    calibration: what is fitted on validation cases beside the temperature: nothing, a line in the logit of each class,
    or rising steps, which take some hundred cases. aggregate: of a patient's inputs; learned: the power mean whose
    exponent gives the least log loss on validation patients.
    """

    calibration: Literal["temperature", "logistic", "isotonic"] = "temperature"
    operating_point: OperatingPoint = OperatingPoint(youden=True)
    refer: Refer = Refer()
    aggregate: Literal["mean", "max", "noisy_or", "majority", "learned"] = "mean"
    conformal_level: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    passes: Annotated[int, Field(ge=2)] = 30
    prevalences: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = (0.01, 0.05)
