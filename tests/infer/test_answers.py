"""The answers to further targets, from columns that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, softmax
from tests.made_fused import MORE, TARGETS, recipe

from insula.bundle.types import FurtherFacts
from insula.infer import answers

RECIPE = recipe(targets=TARGETS | MORE)
FACTS = {
    "stage": FurtherFacts(temperature=2.0),
    "death": FurtherFacts(hazards=(0.1, 0.4, math.nan)),
    "volume": FurtherFacts(),
    "bleed": FurtherFacts(temperature=0.5),
    "signs": FurtherFacts(temperature=1.5),
}
WIDTH = sum(t.columns for t in RECIPE.targets.values())


def columns(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1.5, (rows, WIDTH)).astype(np.float32)


def test_each_further_target_is_answered_by_its_own_columns_and_temperature() -> None:
    given = columns(1)
    found = answers.further(given, None, RECIPE, FACTS)
    assert list(found) == ["stage", "death", "volume", "bleed", "signs"]
    part = {name: given[0, RECIPE.columns(name)].astype(float) for name in found}
    np.testing.assert_allclose(found["stage"].values, softmax(part["stage"] / 2.0), atol=1e-6)
    np.testing.assert_allclose(found["bleed"].values, softmax(part["bleed"] / 0.5), atol=1e-6)
    np.testing.assert_allclose(found["signs"].values, expit(part["signs"] / 1.5), atol=1e-6)
    np.testing.assert_allclose(found["volume"].values, part["volume"], atol=1e-6)
    risk = part["death"][0]
    np.testing.assert_allclose(
        found["death"].values[:3], [risk, *np.exp(-np.array([0.1, 0.4]) * np.exp(risk))], atol=1e-6
    )
    assert math.isnan(found["death"].values[3])  # beyond the end of follow-up nothing is known
    assert {name: answer.kind for name, answer in found.items()} == {
        "stage": "ordinal", "death": "survival", "volume": "regression", "bleed": "binary", "signs": "multilabel",
    }  # fmt: skip
    assert all(answer.spread is None and len(answer.names) == len(answer.values) for answer in found.values())


def test_names_say_what_each_value_is() -> None:
    assert answers.names(RECIPE.targets["stage"]) == ("I", "II", "III", "IV")
    assert answers.names(RECIPE.targets["death"]) == (
        "log_hazard", "event_free_100", "event_free_300", "event_free_9000",
    )  # fmt: skip
    assert answers.names(RECIPE.targets["volume"]) == ("value",)


def test_several_inputs_of_a_case_are_pooled() -> None:
    given = columns(4)
    found = answers.further(given, None, RECIPE, FACTS)
    each = softmax(given[:, RECIPE.columns("stage")].astype(float) / 2.0, axis=1)
    np.testing.assert_allclose(found["stage"].values, each.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found["volume"].values, given[:, RECIPE.columns("volume")].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found["death"].values[0], given[:, RECIPE.columns("death")].mean(), atol=1e-6)


def test_the_spread_is_that_of_the_answer_itself() -> None:
    sampled = np.stack([columns(2, seed) for seed in range(20)])
    found = answers.further(columns(2), sampled, RECIPE, FACTS)
    each = softmax(sampled[..., RECIPE.columns("stage")].astype(float) / 2.0, axis=2).mean(axis=1)
    np.testing.assert_allclose(found["stage"].spread, each.std(axis=0), atol=1e-6)  # type: ignore[arg-type]
    risk = sampled[..., RECIPE.columns("death")].astype(float).mean(axis=(1, 2))
    free = np.exp(-0.1 * np.exp(risk))
    np.testing.assert_allclose(found["death"].spread[:2], [risk.std(), free.std()], atol=1e-6)  # type: ignore[index]
    assert math.isnan(found["death"].spread[3])  # type: ignore[index]


def test_survival_without_a_baseline_is_unknown_and_not_certain() -> None:
    found = answers.further(columns(1), None, RECIPE, {})
    assert np.isnan(found["death"].values[1:]).all()
    assert math.isfinite(found["death"].values[0])


@pytest.mark.parametrize(("risk", "chance"), [(-800.0, 1.0), (800.0, 0.0), (0.0, math.exp(-0.2))])
def test_survival_at_extreme_risks_is_a_probability(risk: float, chance: float) -> None:
    assert answers.survival(risk, (0.2,))[0] == pytest.approx(chance)
    assert answers.survival(risk, (0.0,))[0] == 1.0  # before the first event nobody has had it
