from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from insula.audit.verdict import bounded, finding, size, verdict
from insula.core.types import Verdict
from insula.metrics import maps
from insula.metrics.intervals import Figure

AGREE = "all bootstrap samples agree"


def figure(value: float, interval: tuple[float, float] | None = None, reason: str = "", n: int = 40) -> Figure:
    return Figure(value, interval, "", n, n, n // 2, reason)


@pytest.mark.parametrize(
    ("given", "limit", "wanted"),
    [
        (figure(0.2, (0.11, 0.3)), 0.1, "fail"),
        (figure(0.2, (0.1, 0.3)), 0.1, "cannot tell"),
        (figure(0.2, (0.05, 0.3)), 0.1, "cannot tell"),
        (figure(0.05, (0.0, 0.1)), 0.1, "pass"),
        (figure(0.05, (0.0, 0.11)), 0.1, "cannot tell"),
        (figure(-0.3, (-0.4, -0.2)), 0.1, "pass"),
        (figure(math.nan, None, "nothing was measured"), 0.1, "cannot tell"),
        (figure(0.2, (math.nan, math.nan)), 0.1, "cannot tell"),
        (figure(9.0, None, "fewer than 3 patients"), 0.1, "cannot tell"),
        (figure(0.0, None, "fewer than 3 patients"), 0.1, "cannot tell"),
        (figure(0.0, None, AGREE), 0.1, "pass"),
        (figure(0.2, None, AGREE), 0.1, "fail"),
        (figure(0.0, None, "all samples agree, since positives and negatives stand in the same order"), 0.05, "pass"),
        (figure(0.2, (0.15, 0.3)), None, "cannot tell"),
    ],
)
def test_a_figure_fails_where_its_whole_interval_lies_beyond_the_limit(
    given: Figure, limit: float | None, wanted: Verdict
) -> None:
    assert verdict(given, limit) == wanted


@pytest.mark.parametrize(
    ("interval", "wanted"), [((0.6, 0.69), "fail"), ((0.7, 0.8), "pass"), ((0.6, 0.8), "cannot tell")]
)
def test_a_figure_may_be_held_against_a_least_value(interval: tuple[float, float], wanted: Verdict) -> None:
    below: Literal["below"] = "below"
    assert verdict(figure(sum(interval) / 2, interval), 0.7, below) == wanted
    assert finding("x/y", figure(sum(interval) / 2, interval), 0.7, "Said.", below).verdict == wanted


def test_a_finding_says_why_it_has_no_interval_and_a_missing_limit_is_nan() -> None:
    found = finding("x/y", figure(0.2, None, "too few patients"), None, "It is 0.2.")
    assert found.evidence == "It is 0.2. No interval: too few patients."
    assert math.isnan(found.limit)
    assert (
        finding("x/y", figure(math.nan, None, "too few patients"), 0.1, "").evidence == "No interval: too few patients."
    )
    assert finding("x/y", figure(0.2, (0.1, 0.3)), 0.1, "It is 0.2.").evidence == "It is 0.2."


@pytest.mark.parametrize(
    ("value", "n", "limit", "wanted"),
    [(0.0, 35, 0.1, "cannot tell"), (0.0, 36, 0.1, "pass"), (1.0, 6, 0.1, "cannot tell"), (1.0, 7, 0.1, "fail")],
)
def test_values_that_are_all_the_same_count_with_what_might_have_been_seen(
    value: float, n: int, limit: float, wanted: Verdict
) -> None:
    mean = maps.mean(np.full(n, value), np.arange(n), "nothing", signed=True)
    assert mean.reason == maps.SAME
    found = finding("x/y", mean, limit, "Said.")
    assert found.verdict == wanted
    assert found.evidence == "Said."
    unseen = 1 - 0.025 ** (1 / n)  # closed form of Clopper and Pearson for none of n
    assert found.interval == pytest.approx((value - unseen * (1 + value), value + unseen * (1 - value)))
    assert bounded(bounded(mean)) == bounded(mean)


def test_the_size_of_a_figure_is_its_distance_from_what_is_right_on_either_side() -> None:
    assert size(figure(0.25, (0.1, 0.4)), 1.0).interval == pytest.approx((0.6, 0.9))
    across = size(figure(-0.1, (-0.3, 0.2)))
    assert (across.value, across.interval) == (0.1, (0.0, 0.3))
    assert size(figure(-0.1, None, AGREE)).interval is None
