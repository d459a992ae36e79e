"""From a figure and a limit to a verdict."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from insula.core.types import Finding, Verdict
from insula.metrics import maps
from insula.metrics.group_difference import either_way
from insula.metrics.intervals import Figure, clopper_pearson


def verdict(figure: Figure, limit: float | None, beyond: Literal["above", "below"] = "above") -> Verdict:
    """Fail where the whole 95% interval lies beyond the limit, pass where none of it does, otherwise cannot tell.

    limit: None where nothing was asked for: cannot tell. Without an interval nothing can be told but of a figure whose
    interval is missing since every sample agrees on it, which then counts as a point.
    """
    if limit is None or not math.isfinite(figure.value):
        return "cannot tell"
    low, high = figure.interval or ((figure.value,) * 2 if "samples agree" in figure.reason else (-math.inf, math.inf))
    if beyond == "below":
        low, high, limit = -high, -low, -limit
    if low > limit:
        return "fail"
    return "pass" if high <= limit else "cannot tell"


def finding(
    check: str,
    figure: Figure,
    limit: float | None,
    evidence: str,
    beyond: Literal["above", "below"] = "above",
) -> Finding:
    """A figure held against a limit; the limit of one that is not judged is NaN."""
    figure = bounded(figure)
    told = evidence if figure.interval or not figure.reason else f"{evidence} No interval: {figure.reason}.".lstrip()
    stands = float("nan") if limit is None else limit
    return Finding(check, figure.value, figure.interval, stands, verdict(figure, limit, beyond), told)


def size(figure: Figure, right: float = 0.0) -> Figure:
    """How far a figure lies from what is right, whichever side it lies on, with its interval."""
    ends = figure.interval
    apart = None if ends is None else either_way((ends[0] - right, ends[1] - right))
    return replace(figure, value=abs(figure.value - right), interval=apart)


def bounded(figure: Figure) -> Figure:
    """A mean of values from −1 to 1 that are all the same, with the 95% interval of what might have been seen.

    Had more than a share 1 − 0.025^(1/n) of all patients another value, one of them would be among n patients with a
    probability of 97.5% (Clopper and Pearson, Biometrika 26:404, 1934); these could lie as far away as −1 or 1.
    """
    if figure.interval or figure.reason != maps.SAME or not math.isfinite(figure.value):
        return figure
    unseen = clopper_pearson(0, figure.patients)[1]
    ends = figure.value - unseen * (1 + figure.value), figure.value + unseen * (1 - figure.value)
    return replace(figure, interval=ends, method="Clopper-Pearson")
