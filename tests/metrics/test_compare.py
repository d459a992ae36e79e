from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests

from insula.core.errors import EvaluationError
from insula.metrics import classification as cl
from insula.metrics import compare

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 6)), min_size=4, max_size=14)


def slow_covariance(y: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's areas and covariance from all pairs, as written in the paper."""
    psi = np.stack(
        [(s[y][:, None] > s[~y][None, :]) + 0.5 * (s[y][:, None] == s[~y][None, :]) for s in scores]
    )  # models, positives, negatives
    v10, v01 = psi.mean(axis=2), psi.mean(axis=1)
    return psi.mean(axis=(1, 2)), np.cov(v10) / y.sum() + np.cov(v01) / (~y).sum()


@settings(max_examples=1000, deadline=None)
@given(ROWS)
def test_delong_by_mid_ranks_is_delong_over_all_pairs(rows: list[tuple[bool, int, int]]) -> None:
    y = np.array([r[0] for r in rows])
    scores = np.array([[r[1] for r in rows], [r[2] for r in rows]], dtype=float)
    got = compare.delong(y, *scores)
    if min(y.sum(), (~y).sum()) == 0:
        assert np.isnan(got.p_value)
        assert "both positives and negatives" in got.difference.reason
        return
    assert (got.first, got.second) == pytest.approx([roc_auc_score(y, s) for s in scores])
    rarest = min(y.sum(), (~y).sum())
    if rarest < 3:
        assert "fewer than 3 patients of a class" in got.difference.reason
        return
    area, covariance = slow_covariance(y, scores)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if variance < 1e-12:
        assert got.difference.interval is None
        return
    error = np.sqrt(variance)
    assert got.difference.value == pytest.approx(area[0] - area[1])
    assert got.difference.interval is not None
    error *= t.ppf(0.975, rarest - 1) / 1.959964
    inner = [end for end in got.difference.interval if abs(end) < 1]
    want = [area[0] - area[1] - 1.959964 * error, area[0] - area[1] + 1.959964 * error]
    assert inner == pytest.approx([end for end in want if abs(end) < 1], abs=1e-6)


def test_clustered_variance_is_that_of_obuchowski_from_all_pairs() -> None:
    rng = np.random.default_rng(4)
    patients = rng.integers(0, 12, 40)
    y = rng.random(40) < 0.4
    scores = np.round(rng.normal(size=(2, 40)) + y, 1)
    psi = [(s[y][:, None] > s[~y][None, :]) + 0.5 * (s[y][:, None] == s[~y][None, :]) for s in scores]
    area = [p.mean() for p in psi]
    keys = np.unique(patients)
    ten = np.array([[(p.mean(1) - a)[patients[y] == k].sum() for k in keys] for p, a in zip(psi, area, strict=True)])
    one = np.array([[(p.mean(0) - a)[patients[~y] == k].sum() for k in keys] for p, a in zip(psi, area, strict=True)])
    m, n, total = y.sum(), (~y).sum(), len(keys)
    with_m, with_n = len(np.unique(patients[y])), len(np.unique(patients[~y]))
    d10, d01 = ten[0] - ten[1], one[0] - one[1]
    variance = (
        with_m / (with_m - 1) * (d10**2).sum() / m**2
        + with_n / (with_n - 1) * (d01**2).sum() / n**2
        + 2 * total / (total - 1) * (d10 * d01).sum() / (m * n)
    )
    got = compare.delong(y, scores[0], scores[1], patients).difference
    assert got.interval == pytest.approx(
        (area[0] - area[1]) + np.array([-1, 1]) * t.ppf(0.975, min(with_m, with_n) - 1) * np.sqrt(variance)
    )
    assert (got.patients, got.n, got.events) == (total, 40, m)


def test_copied_rows_of_a_patient_add_nothing_to_what_is_known() -> None:
    rng = np.random.default_rng(1)
    y = np.arange(40) % 2 == 0
    a, b = rng.normal(size=40) + y, rng.normal(size=40) + 0.5 * y
    once = compare.delong(y, a, b)
    copied = compare.delong(np.repeat(y, 3), np.repeat(a, 3), np.repeat(b, 3), np.repeat(np.arange(40), 3))
    assert copied.p_value == pytest.approx(once.p_value)
    single, copied_single = (
        compare.delong_interval(y, a),
        compare.delong_interval(np.repeat(y, 3), np.repeat(a, 3), np.repeat(np.arange(40), 3)),
    )
    assert copied_single.interval == pytest.approx(single.interval)


def test_one_area_has_ends_that_are_symmetrical_in_the_logit_and_an_area_of_1_newcombes() -> None:
    rng = np.random.default_rng(2)
    y = np.arange(60) % 3 == 0
    p = rng.normal(size=60) + 1.5 * y
    got = compare.delong_interval(y, p)
    area, covariance = slow_covariance(y, np.stack([p, p]))
    assert got.value == pytest.approx(area[0])
    assert got.method == "DeLong"
    assert got.interval is not None
    low, high = (np.log(end / (1 - end)) for end in got.interval)
    centre = np.log(area[0] / (1 - area[0]))
    assert [centre - low, high - centre] == pytest.approx(
        [1.959964 * np.sqrt(covariance[0, 0]) / (area[0] * (1 - area[0]))] * 2, rel=1e-6
    )
    perfect = compare.delong_interval(y, y.astype(float))
    assert (perfect.method, perfect.value) == ("Newcombe", 1.0)
    assert perfect.interval is not None
    assert 0.8 < perfect.interval[0] < perfect.interval[1] == 1.0


def test_the_same_scores_differ_by_nothing_with_p_1() -> None:
    y = np.array([True, False] * 3)
    got = compare.delong(y, [0.1, 0.2, 0.3, 0.1, 0.5, 0.2], [1.0, 2.0, 3.0, 1.0, 5.0, 2.0])
    assert (got.difference.value, got.difference.interval, got.p_value) == (0.0, None, 1.0)
    assert "alike" in got.difference.reason


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_mcnemar_is_that_of_statsmodels_and_a_binomial_test(pairs: list[tuple[bool, bool]]) -> None:
    a, b = np.array(pairs).T
    got, mid = compare.mcnemar(a, b), compare.mcnemar(a, b, mid_p=True)
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert got.p_value == pytest.approx(mcnemar_of_statsmodels(table, exact=True).pvalue)
    assert (got.only_first, got.only_second) == (table[0][1], table[1][0])
    total = got.only_first + got.only_second
    if total:
        assert got.p_value == pytest.approx(binomtest(got.only_first, total).pvalue)
        assert mid.p_value <= got.p_value


def test_mid_p_of_a_published_table() -> None:
    # Fagerland et al. 2013, airway hyper-responsiveness before and after transplantation: 1 and 7 discordant of 21
    a = np.array([True] * 1 + [False] * 7 + [True] * 13)
    b = np.array([False] * 1 + [True] * 7 + [True] * 13)
    assert compare.mcnemar(a, b).p_value == pytest.approx(0.0703, abs=5e-5)
    assert compare.mcnemar(a, b, mid_p=True).p_value == pytest.approx(0.0391, abs=5e-5)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.integers(0, 400).map(lambda v: v / 400), min_size=1, max_size=8))
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    with patch("gc.collect"):  # which statsmodels calls each time
        want = multipletests(p, method="holm")[1]
    assert compare.holm(p) == pytest.approx(want)


def test_an_undefined_p_value_stays_so_and_does_not_count() -> None:
    got = compare.holm([0.04, float("nan"), 0.01])
    assert (got[0], got[2]) == pytest.approx((0.04, 0.02))
    assert np.isnan(got[1])
    with pytest.raises(EvaluationError, match="no p-values"):
        compare.holm([1.2])


def test_the_paired_bootstrap_agrees_with_delong_and_resamples_both_at_once() -> None:
    rng = np.random.default_rng(3)
    y = rng.random(400) < 0.4
    a, b = rng.normal(size=400) + 1.5 * y, rng.normal(size=400) + y
    keys = np.arange(400)
    got = compare.paired_bootstrap(
        lambda w: cl.roc_auc(y, a, w), lambda w: cl.roc_auc(y, b, w), keys, int(y.sum()), 2000, 1
    )
    want = compare.delong(y, a, b)
    assert got.difference.value == pytest.approx(want.difference.value)
    assert got.difference.interval == pytest.approx(want.difference.interval, abs=0.01)
    assert got.p_value == pytest.approx(want.p_value, abs=0.01)
    itself = compare.paired_bootstrap(lambda w: cl.roc_auc(y, a, w), lambda w: cl.roc_auc(y, a, w), keys, 160, 50)
    assert (itself.difference.value, itself.difference.interval, itself.p_value) == (0.0, None, 1.0)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(EvaluationError, match="equally long"):
        compare.delong([True, False], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    with pytest.raises(EvaluationError, match="finite"):
        compare.delong([True, False], [0.1, np.nan], [0.1, 0.2])
    with pytest.raises(EvaluationError, match="equally long"):
        compare.mcnemar([True], [True, False])
