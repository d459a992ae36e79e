from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from insula.core.errors import EvaluationError
from insula.metrics import agreement
from insula.metrics import classification as cl

# Fleiss, Psychological Bulletin 76:378, 1971, as tabled on every page about it: 10 rows, 14 readers, 5 classes
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=15),
    st.sampled_from(["none", "linear", "quadratic"]),
)
def test_cohens_kappa_is_that_of_scikit_learn(rows: list[tuple[int, int, int]], steps: agreement.Steps) -> None:
    a, b, times = np.array(rows).T
    got = agreement.cohen(a, b, 4, np.stack([np.ones(len(a)), times.astype(float)]), steps)
    for value, (first, second) in zip(got, [(a, b), (np.repeat(a, times), np.repeat(b, times))], strict=True):
        if len(np.unique(first)) < 2 or len(np.unique(second)) < 2:
            assert np.isnan(value)
            continue
        weights = None if steps == "none" else steps
        assert value == pytest.approx(cohen_kappa_score(first, second, weights=weights, labels=range(4)), abs=1e-9)


@settings(max_examples=1000, deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda m: st.lists(st.lists(st.integers(0, 2), min_size=m, max_size=m), min_size=1, max_size=10)
    )
)
def test_fleiss_kappa_is_that_of_statsmodels(answers: list[list[int]]) -> None:
    given_by = np.array(answers)
    got = agreement.fleiss(agreement.votes(given_by, 3), cl.once(len(answers)))[0]
    if len(np.unique(given_by)) == 1:
        assert np.isnan(got)
        return
    assert got == pytest.approx(fleiss_kappa(aggregate_raters(given_by, n_cat=3)[0]), abs=1e-9)


def test_fleiss_own_example_and_weights_that_repeat_rows() -> None:
    times = np.array([1, 2, 0, 1, 3, 1, 1, 0, 1, 1])
    got = agreement.fleiss(FLEISS, np.stack([np.ones(10), times.astype(float)]))
    assert got[0] == pytest.approx(0.20993, abs=1e-5)
    assert got[1] == pytest.approx(fleiss_kappa(np.repeat(FLEISS, times, axis=0)))


def test_readers_that_agree_by_the_table_have_figures_with_intervals_over_patients() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 80)
    b = np.where(rng.random(80) < 0.7, a, rng.integers(0, 3, 80))
    got = agreement.figures(a, b, 3, np.repeat(np.arange(40), 2), replicates=200)
    assert set(got) == {"agreement", "kappa", "kappa_linear", "kappa_quadratic"}
    for figure in got.values():
        assert figure.interval is not None
        assert figure.interval[0] < figure.value < figure.interval[1]
        assert (figure.patients, figure.n, figure.events) == (40, 80, (a == b).sum())
    assert got["agreement"].value == pytest.approx((a == b).mean())
    assert set(agreement.figures(a > 0, b > 0, 2, np.arange(80), replicates=50)) == {"agreement", "kappa"}


def test_one_answer_throughout_is_undefined_with_its_reason() -> None:
    got = agreement.figures([1] * 5, [1] * 5, 2, np.arange(5), replicates=50)
    assert np.isnan(got["kappa"].value)
    assert "gave the same answer throughout" in got["kappa"].reason
    assert got["agreement"].value == 1.0
    for first, second in (([1] * 5, [0, 1, 0, 1, 1]), ([0, 1, 0, 1, 1], [1] * 5)):
        one = agreement.figures(first, second, 2, np.arange(5), replicates=50)
        assert np.isnan(one["kappa"].value)
        assert one["agreement"].value == 0.6
    whole = agreement.fleiss_figure([[0, 0, 0], [1, 1, 1], [0, 1, 1]], 2, [0, 1, 2], replicates=200)
    assert (whole.events, whole.n) == (2, 3)


def test_unequal_readers_and_lists_are_refused() -> None:
    with pytest.raises(EvaluationError, match="same number of readers"):
        agreement.fleiss([[1, 1], [2, 1]], cl.once(2))
    with pytest.raises(EvaluationError, match="class numbers from 0 to 1"):
        agreement.cohen([0, 2], [0, 1], 2, cl.once(2))
    with pytest.raises(EvaluationError, match="class numbers below 2"):
        agreement.votes([[0, 2]], 2)
