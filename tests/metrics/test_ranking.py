from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from insula.metrics import ranking

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=16)


@settings(max_examples=1000, deadline=None)
@given(ROWS)
def test_areas_of_repeated_rows_are_those_of_scikit_learn(rows: list[tuple[bool, int, int]]) -> None:
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) / 6
    times = np.array([r[2] for r in rows])
    auc, precision = ranking.rank(y, p).figures(np.stack([np.ones(len(y)), times.astype(float)]))
    for k, repeats in enumerate((np.ones(len(y), dtype=int), times)):
        truth, score = np.repeat(y, repeats), np.repeat(p, repeats)
        if truth.any():
            assert precision[k] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
        else:
            assert np.isnan(precision[k])
        if truth.any() and not truth.all():
            assert auc[k] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
        else:
            assert np.isnan(auc[k])


@settings(max_examples=300, deadline=None)
@given(ROWS)
def test_the_band_lies_on_the_curve_of_scikit_learn(rows: list[tuple[bool, int, int]]) -> None:
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) / 6
    times = np.array([r[2] for r in rows])
    grid = np.linspace(0, 1, 37)
    got = ranking.rank(y, p).band(times[None].astype(float), grid)[0]
    truth, score = np.repeat(y, times), np.repeat(p, times)
    if not truth.any() or truth.all():
        assert np.isnan(got).all()
        return
    x, t, _ = roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_allclose(got, np.interp(grid, x, t), atol=1e-12)


def test_weights_of_patients_reach_all_their_rows_whatever_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    owner = rng.integers(0, 8, 40)
    y, p = rng.random(40) < 0.4, np.round(rng.random(40), 1)
    weights = rng.integers(0, 3, (30, 8)).astype(float)
    by_row = ranking.rank(y, p).figures(weights[:, owner])
    np.testing.assert_array_equal(ranking.rank(y, p, owner).figures(weights), by_row)
    monkeypatch.setattr(ranking, "_CACHED", 90)
    np.testing.assert_array_equal(ranking.rank(y, p, owner).figures(weights), by_row)


def test_the_area_under_ties_is_exact_for_more_pairs_than_a_float_of_single_precision_counts() -> None:
    rng = np.random.default_rng(1)
    y, p = rng.random(20_001) < 0.4, rng.integers(0, 7, 20_001) / 7
    positive, negative = (np.bincount((p[of] * 7).round().astype(int), minlength=7) for of in (y, ~y))
    below = np.cumsum(negative) - negative
    twice = int((positive * (2 * below + negative)).sum())
    assert ranking.rank(y, p).figures(np.ones((1, len(y))))[0][0] == twice / (2 * int(y.sum()) * int((~y).sum()))


def test_no_replicates_give_no_values() -> None:
    auc, precision = ranking.rank(np.array([True, False]), np.array([0.2, 0.1])).figures(np.zeros((0, 2)))
    assert auc.shape == precision.shape == (0,)
