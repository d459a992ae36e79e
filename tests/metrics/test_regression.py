from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn import metrics as sk

from insula.metrics import regression

VALUE = st.integers(-50, 50).map(lambda v: v / 4 + 1000.0)  # far from 0, where differences of squares lose digits


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE, st.integers(0, 3)), min_size=1, max_size=15))
def test_figures_of_a_number_are_those_of_scikit_learn_and_scipy(rows: list[tuple[float, float, int]]) -> None:
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    times = np.array([r[2] for r in rows])
    w = times[None].astype(float)
    truth, predicted = np.repeat(y, times), np.repeat(p, times)
    named = (regression.mae, regression.rmse, regression.bias, regression.pearson, regression.r2)
    got = {f.__name__: float(f(y, p, w)[0]) for f in named}
    if len(truth) == 0:
        assert np.isnan(list(got.values())).all()
        return
    assert got["mae"] == pytest.approx(sk.mean_absolute_error(truth, predicted))
    assert got["rmse"] == pytest.approx(sk.root_mean_squared_error(truth, predicted))
    assert got["bias"] == pytest.approx((predicted - truth).mean(), abs=1e-9)
    if len(np.unique(truth)) == 1:
        assert np.isnan([got["r2"], got["pearson"]]).all()
        return
    assert got["r2"] == pytest.approx(sk.r2_score(truth, predicted), abs=1e-8)
    if len(np.unique(predicted)) == 1:
        assert np.isnan(got["pearson"])
    else:
        assert got["pearson"] == pytest.approx(pearsonr(truth, predicted).statistic, abs=1e-8)
