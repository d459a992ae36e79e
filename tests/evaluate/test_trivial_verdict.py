from __future__ import annotations

import math

import numpy as np
import pytest

from insula.evaluate.evidence import TrivialModel
from insula.evaluate.trivial_verdict import sentence, standing
from insula.metrics.compare import delong, delong_interval
from insula.metrics.intervals import Figure


def figure(value: float, low: float | None = None, high: float | None = None, reason: str = "") -> Figure:
    ends = None if low is None or high is None else (low, high)
    return Figure(value, ends, "DeLong" if ends else "", 40, 40, 20, reason)


def trivial(name: str, title: str, area: float, difference: Figure) -> TrivialModel:
    within = standing(difference) in ("level", "below")
    return TrivialModel(name, title, (title,), "logistic regression", 80, figure(area, 0.1, 0.9), difference, within)


def border(area: float, difference: Figure) -> TrivialModel:
    return trivial("border", "the outer tenth of the picture", area, difference)


def thumbnail(area: float, difference: Figure) -> TrivialModel:
    return trivial("thumbnail", "the picture at 8 × 8 pixels", area, difference)


def facts(area: float, difference: Figure) -> TrivialModel:
    return trivial("metadata", "facts about scan and patient, no picture", area, difference)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (figure(0.2, 0.1, 0.3), "above"),
        (figure(0.38, 0.0002, 0.765), "level"),  # shown as 0.000 to 0.765
        (figure(0.38, 0.0006, 0.765), "above"),
        (figure(0.01, -0.2, 0.22), "level"),
        (figure(-0.3, -0.5, -0.0004), "level"),
        (figure(-0.3, -0.5, -0.1), "below"),
        (figure(0.0, reason="the two models order positives against negatives alike"), "level"),
        (figure(0.4, reason="its variance is 0"), "open"),
        (figure(math.nan, reason="one class"), "open"),
    ],
)
def test_where_a_model_stands_follows_from_the_interval_of_the_difference(difference: Figure, expected: str) -> None:
    assert standing(difference) == expected


def test_a_model_above_all_of_them_is_said_to_be_so() -> None:
    said = sentence([facts(0.7, figure(0.2, 0.1, 0.3)), border(0.61, figure(0.29, 0.2, 0.4))], figure(0.9, 0.85, 0.95))
    assert said == (
        "The model's ROC-AUC of 0.900 is above that of every trivial model (metadata 0.700, border 0.610); the 95% "
        "interval of each difference is clear of 0."
    )


def test_a_difference_that_touches_0_is_not_told_apart_however_large() -> None:
    said = sentence(
        [border(0.309, figure(0.494, 0.109, 0.879)), thumbnail(0.42, figure(0.383, 0.0002, 0.765))],
        figure(0.802, 0.456, 0.952),
    )
    assert "cannot be told from that of a model that sees only the picture at 8 × 8 pixels" in said
    assert "difference 0.383, 95% interval 0.000 to 0.765" in said
    assert "is above that of a model that sees only the outer tenth of the picture" in said
    assert "every trivial model" not in said
    assert said.endswith("The model's own 95% interval of 0.456 to 0.952 holds 0.5, which is chance.")


def test_a_model_that_does_worse_is_not_excused() -> None:
    said = sentence(
        [
            facts(1.0, figure(-0.59, -0.822, -0.357)),
            border(0.52, figure(-0.109, -0.442, 0.223)),
            thumbnail(0.402, figure(0.008, -0.224, 0.239)),
        ],
        figure(0.41, 0.213, 0.641),
    )
    assert said.startswith(
        "With a ROC-AUC of 0.410 the model does worse than a model that sees only facts about scan and patient, no "
        "picture (ROC-AUC 1.000; difference −0.590, 95% interval −0.822 to −0.357)."
    )
    assert "cannot be told from that of a model that sees only the outer tenth of the picture" in said
    assert "or only the picture at 8 × 8 pixels" in said
    assert "above" not in said


def test_a_model_below_chance_is_said_to_be_so_whatever_it_is_above() -> None:
    said = sentence([border(0.1, figure(0.2, 0.05, 0.35))], figure(0.3, 0.2, 0.45))
    assert "is above that of every trivial model (border 0.100)." in said
    assert "None of these is better than chance here" in said
    assert said.endswith("The model itself lies below chance: its 95% interval of 0.200 to 0.450 is under 0.5.")


def test_what_cannot_be_compared_is_left_open_with_the_reason() -> None:
    said = sentence([border(0.0, figure(1.0, reason="its variance is 0"))], figure(1.0, 0.9, 1.0))
    assert said == (
        "Against the model that sees only the outer tenth of the picture (ROC-AUC 0.000) there is no interval: its "
        "variance is 0."
    )
    y, p = np.ones(10, dtype=bool), np.linspace(0, 1, 10)
    undefined = delong_interval(y, p)
    said = sentence([border(math.nan, delong(y, p, p).difference)], undefined)
    assert said == (
        "The model cannot be held against trivial ones, since their ROC-AUC is not defined here: the rows do not hold "
        "both positives and negatives."
    )
    assert sentence([], figure(0.9, 0.8, 0.95)).startswith("No trivial model could be fitted")


def test_the_verdict_is_that_of_delongs_p_value() -> None:
    """Above or below at the 5% level of the same test, up to what three decimals show."""
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(200):
        y = np.arange(40) % 2 == 0
        a, b = (y * rng.uniform(-0.5, 2.0) + rng.normal(0, 1, 40) for _ in range(2))
        found = delong(y, a, b)
        where = standing(found.difference)
        seen.add(where)
        if where == "level":
            assert found.p_value > 0.0485
        else:
            assert found.p_value < 0.05
            assert (found.difference.value > 0) == (where == "above")
    assert seen == {"above", "level", "below"}
