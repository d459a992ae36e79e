"""What a positive or negative answer means where the disease is as rare as stated."""

from __future__ import annotations

import math
from dataclasses import dataclass

from insula.core.errors import EvaluationError
from insula.metrics.intervals import Figure

Ends = tuple[float, float, float]


@dataclass(frozen=True)
class AtPrevalence:
    """PPV, NPV and alerts per 1,000 patients at one prevalence, each (value, low, high).

    PPV is NaN with both its ends where no answer is positive, and NPV where none is negative.
    """

    prevalence: float
    ppv: Ends
    npv: Ends
    alerts_per_1000: Ends


def ppv(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Bayes' rule: share of true among positive answers; NaN when no answer is positive."""
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return true / (true + false) if true + false > 0 else float("nan")


def npv(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Bayes' rule: share of true among negative answers; NaN when no answer is negative."""
    return ppv(specificity, sensitivity, 1 - prevalence)


def alerts(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Positive answers per 1,000 patients."""
    return 1000 * (sensitivity * prevalence + (1 - specificity) * (1 - prevalence))


def at_prevalence(sensitivity: Figure, specificity: Figure, prevalence: float) -> AtPrevalence | None:
    """PPV, NPV and alerts at a stated prevalence; None where sensitivity or specificity is unknown.

    The intervals put both at their lower ends, then both at their upper ends: PPV and NPV rise with either, so this is
    wider than 95% needs and never narrower. Alerts rise with sensitivity and fall with specificity.
    """
    if not 0 < prevalence < 1:
        raise EvaluationError(f"The prevalence is {prevalence}; write a share between 0 and 1.")
    if sensitivity.interval is None or specificity.interval is None:
        return None
    (se_low, se_high), (sp_low, sp_high) = sensitivity.interval, specificity.interval
    se, sp = sensitivity.value, specificity.value
    return AtPrevalence(
        prevalence,
        _known(ppv(se, sp, prevalence), ppv(se_low, sp_low, prevalence), ppv(se_high, sp_high, prevalence)),
        _known(npv(se, sp, prevalence), npv(se_low, sp_low, prevalence), npv(se_high, sp_high, prevalence)),
        (alerts(se, sp, prevalence), alerts(se_low, sp_high, prevalence), alerts(se_high, sp_low, prevalence)),
    )


def _known(value: float, low: float, high: float) -> Ends:
    """A share with its ends; ends without a share would be those of a figure that is not there."""
    return (value, low, high) if math.isfinite(value) else (value, math.nan, math.nan)
