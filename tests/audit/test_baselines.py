from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.audit.made_looks import ground, head, recipe

from insula.audit.baselines import CHECK, judge
from insula.audit.ground import Ground
from insula.audit.part import Part
from insula.core.types import Finding, Volume
from insula.evaluate.evidence import Baselines, TrivialModel
from insula.metrics.intervals import Figure

N = 40


def on(
    own: float, models: dict[str, tuple[float, float, float]], reasons: dict[str, str] | None = None, **audit: Any
) -> Ground:
    """A model with this ROC-AUC, and trivial models with these and their intervals."""
    positive = [i % 2 == 1 for i in range(N)]
    wrong = round((1 - own) * N / 2)  # positives below all negatives

    def look(volume: Volume) -> float:
        i = round(float(volume.array[0, 0, 0, 0]))
        return 0.1 if positive[i] and i // 2 < wrong else 0.9 if positive[i] else 0.5

    volumes = [head(0, size=8, slices=1) for _ in range(N)]
    for i, volume in enumerate(volumes):
        volume.array[:] = i
    made = ground(positive, volumes, look, given=recipe(**audit))
    rows = tuple(
        TrivialModel(
            name, f"the {name}", ("a", "b"), "logistic", 100, Figure(value, (low, high), "", N, N, N // 2),
            Figure(own - value, (0.0, 1.0), "", N, N, N // 2), False,
        )
        for name, (value, low, high) in models.items()
    )  # fmt: skip
    return replace(made, report=replace(made.report, baselines=Baselines(rows, reasons or {}, "What they say.")))


def found(part: Part) -> dict[str, Finding]:
    return {f.check: f for f in part.findings}


@pytest.mark.parametrize(
    ("own", "interval", "limit", "wanted"),
    [
        (0.9, (0.75, 0.95), 0.7, "fail"),
        (0.9, (0.5, 0.68), 0.7, "pass"),
        (0.9, (0.6, 0.8), 0.7, "cannot tell"),
        (0.5, (0.55, 0.7), 0.5, "fail"),
        (0.3, (0.4, 0.5), 0.5, "pass"),
    ],
)
def test_a_trivial_model_may_reach_a_part_of_what_the_model_reaches_above_chance(
    own: float, interval: tuple[float, float], limit: float, wanted: str
) -> None:
    one = found(judge(on(own, {"border": (sum(interval) / 2, *interval)}), pd.DataFrame()))["baselines/border"]
    assert one.limit == pytest.approx(limit)
    assert one.verdict == wanted
    assert "A model that sees only the border orders the test patients with a ROC-AUC of" in one.evidence


def test_the_picture_at_8_pixels_is_shown_and_not_judged_and_metadata_tell_what_they_were_given() -> None:
    part = judge(on(0.9, {"metadata": (0.6, 0.5, 0.65), "thumbnail": (0.9, 0.85, 0.95)}), pd.DataFrame())
    assert list(found(part)) == ["baselines/metadata"]
    assert "It was given a, b." in found(part)["baselines/metadata"].evidence
    assert [row[0] for row in part.tables[0].rows] == ["the metadata", "the thumbnail"]
    assert part.notes == ("What they say.",)


def test_what_could_not_be_fitted_says_why_and_is_not_judged() -> None:
    part = judge(on(0.9, {}, {"border": "nothing of it varies", "thumbnail": "the same"}), pd.DataFrame())
    one = found(part)["baselines/border"]
    assert (one.verdict, np.isnan(one.limit)) == ("cannot tell", True)
    assert one.evidence == "the outer tenth of the picture: nothing of it varies."
    assert list(found(part)) == ["baselines/border"]
    assert part.tables == ()


def test_without_trivial_models_nothing_can_be_told() -> None:
    made = on(0.9, {})
    part = judge(replace(made, report=replace(made.report, baselines=None)), pd.DataFrame())
    assert [f.verdict for f in part.findings] == ["cannot tell"]


def test_the_limit_of_the_recipe_is_held() -> None:
    reached = {"border": (0.75, 0.72, 0.78)}
    verdicts = [
        judge(on(0.9, reached, shortcuts={"trivial": part}), pd.DataFrame()).findings[0].verdict
        for part in (0.5, 0.9, None)
    ]
    assert verdicts == ["fail", "pass", "cannot tell"]
    assert CHECK.measure is None
