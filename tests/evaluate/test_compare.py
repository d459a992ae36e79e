from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.evaluate.made_tables import binary, binary_facts

from insula.core.errors import EvaluationError
from insula.evaluate import compare
from insula.evaluate.compare import Entry
from insula.metrics import compare as tests

RNG = np.random.default_rng(8)
PATIENTS = [f"p{i // 2:02}" for i in range(80)]
Y = np.repeat(RNG.random(40) < 0.4, 2)
GOOD = np.clip(RNG.normal(0.3, 0.15, 80) + 0.4 * Y, 0.001, 0.999)
POOR = np.clip(RNG.normal(0.4, 0.2, 80) + 0.15 * Y, 0.001, 0.999)


def entry(name: str, p: np.ndarray, threshold: float = 0.5, **changes: object) -> Entry:
    table = binary(Y.astype(int).tolist(), p.tolist(), PATIENTS)
    return replace(Entry(name, f"id-{name}", table, binary_facts(threshold)), **changes)  # type: ignore[arg-type]


def pooled(p: np.ndarray) -> np.ndarray:
    mean: np.ndarray = p.reshape(-1, 2).mean(axis=1)
    return mean


def test_every_figure_is_that_of_each_model_at_its_own_threshold() -> None:
    got = compare.compare(entry("a", GOOD, 0.4), entry("b", POOR, 0.6), 200)
    y = Y[::2]
    found = {test.figure: test.found for test in got.tests}
    for side, p, t in (("first", pooled(GOOD), 0.4), ("second", pooled(POOR), 0.6)):
        want = {
            "roc_auc": sk.roc_auc_score(y, p),
            "pr_auc": sk.average_precision_score(y, p),
            "sensitivity": sk.recall_score(y, p >= t),
            "specificity": sk.recall_score(~y, p < t),
            "accuracy": sk.accuracy_score(y, p >= t),
            "f1": sk.f1_score(y, p >= t),
            "brier": sk.brier_score_loss(y, p),
            "log_loss": sk.log_loss(y, p),
        }
        assert {key: getattr(found[key], side) for key in want} == pytest.approx(want)
    area = tests.delong(y, pooled(GOOD), pooled(POOR))
    assert found["roc_auc"] == area
    right = [(pooled(GOOD) >= 0.4) == y, (pooled(POOR) >= 0.6) == y]
    assert got.mcnemar == tests.mcnemar(*right)
    assert (got.cases, got.patients, got.positives) == (80, 40, int(y.sum()))
    assert f"difference {area.difference.value:+.3f}" in got.headline


def test_all_p_values_are_corrected_together() -> None:
    got = compare.compare(entry("a", GOOD), entry("b", POOR), 200)
    p = [test.found.p_value for test in got.tests] + [got.mcnemar.p_value]
    assert [*(test.adjusted for test in got.tests), got.mcnemar_adjusted] == pytest.approx(tests.holm(p), nan_ok=True)


def test_a_model_against_itself_shows_no_difference() -> None:
    got = compare.compare(entry("a", GOOD), entry("b", GOOD), 100)
    for test in got.tests:
        assert test.found.difference.value == 0.0
        assert test.adjusted == 1.0
    assert (got.mcnemar.only_first, got.mcnemar.only_second) == (0, 0)


def test_only_the_cases_of_both_are_compared_in_any_order() -> None:
    a, b = entry("a", GOOD), entry("b", POOR)
    shuffled = b.table.iloc[RNG.permutation(80)].iloc[:70]
    kept = a.table["case"].isin(shuffled["case"])
    got = compare.compare(a, replace(b, table=shuffled), 50)
    want = compare.compare(replace(a, table=a.table[kept]), replace(b, table=b.table[kept]), 50)
    assert got.tests == want.tests
    assert got.notes == ("10 cases of a were not predicted by the other.",)


def test_what_flatters_one_takes_the_place_of_the_headline() -> None:
    got = compare.compare(entry("a", GOOD), entry("b", POOR, optimistic=("patients leak",)), 20)
    assert got.headline == "Optimistic: of B, patients leak."


def test_models_of_other_questions_labels_or_cases_are_refused() -> None:
    a, b = entry("a", GOOD), entry("b", POOR)
    with pytest.raises(EvaluationError, match="a is about 'stroke' and b about 'normal'"):
        compare.compare(a, replace(b, facts=replace(b.facts, positive="normal")), 20)
    with pytest.raises(EvaluationError, match="no case in common"):
        compare.compare(a, replace(b, table=b.table.assign(case=b.table["case"] + "x")), 20)
    flipped = b.table.assign(y_stroke=~b.table["y_stroke"], y_normal=~b.table["y_normal"])
    with pytest.raises(EvaluationError, match="80 cases have two labels, the first 'c000'"):
        compare.compare(a, replace(b, table=flipped), 20)
    with pytest.raises(EvaluationError, match="'c000' is of another patient"):
        compare.compare(a, replace(b, table=b.table.assign(patient="p")), 20)


def test_the_report_is_strict_json_and_readable() -> None:
    got = compare.compare(entry("a", GOOD), entry("b", POOR), 50, source={"cohort": "x"})
    again = json.loads(json.dumps(got.to_dict(), allow_nan=False))
    assert again["kind"] == "comparison"
    assert again["tests"][0]["figure"] == "roc_auc"
    assert again["first"]["thresholds"] == {"stroke": 0.5}
    text = got.summary()
    assert text.startswith(got.headline)
    assert "A = a" in text
    assert f"only B right: {got.mcnemar.only_second}" in text


def test_names_tell_two_paths_apart() -> None:
    assert compare.names(Path("/r/one/bundle"), Path("/r/two/bundle")) == ("one/bundle", "two/bundle")
    assert compare.names(Path("/r/a.csv"), Path("/r/b.csv")) == ("a.csv", "b.csv")
