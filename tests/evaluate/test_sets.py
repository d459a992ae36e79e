from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from tests.evaluate.made_tables import facts, table

from insula.core.errors import EvaluationError
from insula.evaluate.sets import falls_short, judge, of_table
from insula.evaluate.table import sample
from insula.infer.conformal import members, quantiles
from insula.metrics.intervals import Figure


def cases(g: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A model of three classes that is overconfident, one class rarer than the others."""
    truth = g.choice(3, n, p=[0.45, 0.4, 0.15])
    z = 2 * (g.normal(0, 1.5, (n, 3)) + 1.5 * np.eye(3)[truth])
    p = np.exp(z)
    return p / p.sum(axis=1, keepdims=True), np.eye(3, dtype=bool)[truth]


def test_every_share_is_counted_over_its_own_rows() -> None:
    inside = np.array([[1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1], [0, 0, 1]], bool)
    y = np.eye(3, dtype=bool)[[0, 0, 1, 1, 1]]
    found = judge(inside, y, ["a", "b", "c", "d", "d"], facts(), 0.9, None, 200)
    healthy, benign, malignant = (found.of_class[c] for c in ("healthy", "benign", "malignant"))
    assert (healthy.value, healthy.n, healthy.events) == (1.0, 2, 2)
    assert benign.value == pytest.approx(1 / 3)
    assert (benign.n, benign.patients) == (3, 2)
    assert np.isnan(malignant.value)
    assert malignant.reason == "no case is malignant"
    assert found.any_class.value == 0.6
    assert found.size.value == pytest.approx(7 / 5)
    assert (found.empty.value, found.single.value, found.full.value) == (0.2, 0.4, 0.2)
    assert (found.single_right.value, found.single_right.n) == (0.5, 2)


def test_sets_of_another_half_rarely_fall_short_and_those_of_another_level_do() -> None:
    g = np.random.default_rng(6)
    owners = [f"p{i}" for i in range(300)]
    false = 0
    for _ in range(150):
        (p, y), (q, z) = cases(g, 300), cases(g, 300)
        limits = quantiles(p, y, "multiclass", 0.9)
        false += bool(judge(members(q, limits), z, owners, facts(), 0.9, y.sum(axis=0).tolist(), 2).short)
    assert false <= 9  # 2.5% of 150 are 3.75; more than 9 come in 1 of 200 runs of a check that keeps its word
    low = judge(members(q, quantiles(p, y, "multiclass", 0.7)), z, owners, facts(), 0.9, y.sum(axis=0).tolist(), 2)
    assert {"healthy", "benign"} <= set(low.short)  # the third has too few cases to be sure
    assert judge(members(q, limits), z, owners, facts(), 0.9, None, 2).short == ()


def test_a_class_that_stands_in_every_set_falls_short_with_its_first_miss() -> None:
    def seen(hits: int) -> Figure:
        return Figure(hits / 20, None, "", 20, 20, hits)

    assert not falls_short(seen(20), 5, 0.9)
    assert falls_short(seen(19), 5, 0.9)
    assert not falls_short(seen(16), 30, 0.9)
    assert falls_short(seen(8), 30, 0.9)
    # of 20 new cases behind 19 old ones (r = 18, Beta(18, 2)) at most 13 are covered in 3.5% of draws, 12 in 1.9%
    g = np.random.default_rng(9)
    old, new = np.sort(g.random((60_000, 19)), axis=1)[:, 17], g.random((60_000, 20))
    drawn = (new <= old[:, None]).sum(axis=1)
    for hits in (11, 12, 13, 14):
        share = float(np.mean(drawn <= hits))
        assert falls_short(seen(hits), 19, 0.9, share + 0.004)
        assert not falls_short(seen(hits), 19, 0.9, share - 0.004)


def test_many_cases_of_one_patient_widen_the_interval() -> None:
    g = np.random.default_rng(7)
    inside = np.repeat(g.random(40) < 0.8, 25)[:, None] & np.ones(3, bool)
    y = np.tile(np.eye(3, dtype=bool)[0], (1000, 1))
    apart = judge(inside, y, np.arange(1000).astype(str), facts(), 0.9, None, 200).of_class["healthy"].interval
    together = (
        judge(inside, y, np.repeat(np.arange(40), 25).astype(str), facts(), 0.9, None, 200).of_class["healthy"].interval
    )
    assert apart is not None
    assert together is not None
    assert together[1] - together[0] > 3 * (apart[1] - apart[0])


def test_labels_that_stand_together_all_have_to_be_in_the_set() -> None:
    y = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1]], bool)
    inside = np.array([[1, 0, 0], [0, 0, 0], [1, 0, 1]], bool)
    found = judge(inside, y, ["a", "b", "c"], facts("multilabel"), 0.9, None, 200)
    assert (found.any_class.value, found.any_class.n) == (0.5, 2)
    assert found.single_right.value == 1.0


def test_a_table_is_judged_by_its_own_columns() -> None:
    frame = table()
    rows = sample(frame, facts())
    assert of_table(frame, rows, facts(), 0.9) is None
    half = frame.assign(set_healthy=True)
    with pytest.raises(EvaluationError, match="set_benign"):
        of_table(half, rows, facts(), 0.9)
    whole: pd.DataFrame = half.assign(set_benign=False, set_malignant=True)
    found = of_table(whole, rows, facts(), 0.9, (40, 40, 40), 200)
    assert found is not None
    assert [f.value for f in found.of_class.values()] == [1.0, 0.0, 1.0]
    assert found.short == ("benign",)
    assert (found.size.value, found.size.interval) == (2.0, None)


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EvaluationError, match="belong together"):
        judge(np.ones((2, 3), bool), np.ones((2, 3), bool), ["a"], facts(), 0.9)
    with pytest.raises(EvaluationError, match="3 classes"):
        judge(np.ones((2, 2), bool), np.ones((2, 2), bool), ["a", "b"], facts(), 0.9)
