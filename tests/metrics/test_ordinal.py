from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, mean_absolute_error

from insula.metrics import classification as cl
from insula.metrics import ordinal


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=15))
def test_figures_of_ordered_classes_are_those_of_scikit_learn(rows: list[tuple[int, int, int]]) -> None:
    y, p, times = np.array(rows).T
    matrix = cl.confusion(y, p, 5, times[None].astype(float))
    truth, answer = np.repeat(y, times), np.repeat(p, times)
    got = [float(f(matrix)[0]) for f in (ordinal.quadratic_kappa, ordinal.mean_steps, ordinal.within_one)]
    if len(truth) == 0:
        assert np.isnan(got).all()
        return
    assert got[1] == pytest.approx(mean_absolute_error(truth, answer))
    assert got[2] == pytest.approx((np.abs(truth - answer) <= 1).mean())
    if len(np.unique(truth)) == 1:
        assert np.isnan(got[0])
    else:
        want = cohen_kappa_score(truth, answer, weights="quadratic", labels=range(5))
        assert got[0] == pytest.approx(want, abs=1e-9)
