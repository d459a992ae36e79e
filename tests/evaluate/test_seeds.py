from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests import tiny_bundle
from tests.evaluate.made_tables import binary, binary_facts

from insula.core.errors import EvaluationError
from insula.evaluate import seeds
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import evaluate_table


def report(seed: int, *optimistic: str, y: list[int] | None = None) -> EvaluationReport:
    rng = np.random.default_rng(seed)
    truth = y or [0, 1] * 10
    p = np.round(np.clip(rng.normal(0.35, 0.2, len(truth)) + 0.3 * np.array(truth), 0.01, 0.99), 3)
    made = evaluate_table(binary(truth, p.tolist()), replace(binary_facts(), seed=seed), 50, optimistic)
    return replace(made, source={"bundle": f"b{seed}"})


def test_mean_and_range_and_no_best() -> None:
    reports = [report(seed) for seed in (4, 1, 9)]
    whole = seeds.over(reports)
    assert whole.seeds is not None
    assert whole.seeds.bundles == ("b4", "b1", "b9")
    assert whole.seeds.seeds == (4, 1, 9)
    areas = [r.positive.figures["roc_auc"].value for r in reports]
    found = whole.seeds.figures["roc_auc"]
    assert found.values == tuple(areas)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(areas), min(areas), max(areas)))
    assert found.sd == pytest.approx(np.std(areas, ddof=1))
    assert whole.headline.startswith(f"stroke, mean of 3 seeds: ROC-AUC {np.mean(areas):.3f} (range {min(areas):.3f}")
    assert whole.patient == reports[0].patient  # as given, not the best


def test_one_optimistic_seed_makes_the_whole_so() -> None:
    whole = seeds.over([report(1), report(2, "patients leak"), report(3, "patients leak")])
    assert whole.optimistic == ("patients leak",)
    assert whole.headline == "Optimistic: patients leak."


def test_a_figure_that_one_seed_does_not_define_has_no_mean() -> None:
    whole = seeds.over([report(1, y=[0] * 6), report(2, y=[0] * 6)])
    assert whole.seeds is not None
    assert np.isnan(whole.seeds.figures["roc_auc"].mean)
    assert "ROC-AUC not defined for every seed" in whole.headline


def test_other_cases_are_refused() -> None:
    fewer = report(2)
    with pytest.raises(EvaluationError, match="could not all predict the same cases"):
        seeds.over([report(1), replace(fewer, table=fewer.table.iloc[:-1])])


def test_only_the_seed_may_differ() -> None:
    recipe = tiny_bundle.recipe()
    seeds.check([recipe, recipe.model_copy(update={"seed": 8})])
    with pytest.raises(EvaluationError, match="same seed"):
        seeds.check([recipe, recipe])
    with pytest.raises(EvaluationError, match="insula compare"):
        seeds.check([recipe, tiny_bundle.recipe(dropout=0.1).model_copy(update={"seed": 8})])
