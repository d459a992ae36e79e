from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, bootstrap, norm
from sklearn.metrics import average_precision_score, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from insula.core.errors import EvaluationError
from insula.metrics import classification as cl
from insula.metrics import intervals

PATIENTS = np.array(["b", "a", "b", "c", "d", "a", "e", "f", "f", "f"])
_RNG = np.random.default_rng(0)
Y = np.isin(PATIENTS, ["a", "e"])  # so few that some replicates hold no positive
P = np.round(_RNG.random(len(PATIENTS)), 1)


def drawn(count: int = 200, seed: int = 1) -> np.ndarray:
    return np.concatenate(list(intervals.replicates(PATIENTS, count, seed)))


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(hits: int, n: int, low: float, high: float) -> None:
    # Newcombe, Statistics in Medicine 17:857, 1998, table I, method 3
    assert intervals.wilson(hits, n) == pytest.approx((low, high), abs=5e-5)
    assert intervals.wilson(n - hits, n) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_wilson_ends_solve_the_score_equation_at_another_level() -> None:
    for end in intervals.wilson(7, 30, level=0.9):
        assert abs(7 / 30 - end) / np.sqrt(end * (1 - end) / 30) == pytest.approx(norm.ppf(0.95))


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_what_is_no_proportion_is_refused(hits: int, n: int) -> None:
    with pytest.raises(EvaluationError, match="no proportion"):
        intervals.wilson(hits, n)


@pytest.mark.parametrize("auc", [0.55, 0.8931, 0.99])
def test_the_ends_of_an_auc_lie_z_standard_errors_of_hanley_and_mcneil_away(auc: float) -> None:
    n = 40  # with as many of both the method's variance is Hanley and McNeil's own (Radiology 143:29, 1982)
    for end in intervals.newcombe_auc(auc, n, n):
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)
        error = np.sqrt((end * (1 - end) + (n - 1) * (q1 - end**2) + (n - 1) * (q2 - end**2)) / n**2)
        assert abs(auc - end) / error == pytest.approx(1.959964, abs=1e-5)


def test_an_auc_of_1_has_an_interval_that_narrows_with_patients_and_mirrors() -> None:
    few, many = intervals.newcombe_auc(1.0, 5, 7), intervals.newcombe_auc(1.0, 50, 70)
    assert few[1] == many[1] == 1.0
    assert 0.5 < few[0] < many[0] < 0.99
    assert intervals.newcombe_auc(0.0, 7, 5) == pytest.approx((0.0, 1 - few[0]))
    with pytest.raises(EvaluationError, match="both are needed"):
        intervals.newcombe_auc(1.0, 5, 0)


@pytest.mark.parametrize("auc", [0.0, 1e-13, 0.7, 1 - 1e-13, 1.0])
@pytest.mark.parametrize("level", [0.0, 1e-9, 1e-6, 1 - 1e-15])
def test_an_area_has_ends_at_every_level(auc: float, level: float) -> None:
    low, high = intervals.newcombe_auc(auc, 40, 60, level)
    assert 0.0 <= low <= auc + 1e-9
    assert auc - 1e-9 <= high <= 1.0


def test_every_replicate_draws_as_many_patients_as_there_are_each_with_all_rows() -> None:
    weights = drawn()
    assert weights.shape == (200, len(PATIENTS))
    per_patient: dict[str, np.ndarray] = {}
    for patient in np.unique(PATIENTS):
        rows = weights[:, patient == PATIENTS]
        assert (rows == rows[:, :1]).all()
        per_patient[patient] = rows[:, 0]
    assert (np.sum(list(per_patient.values()), axis=0) == len(per_patient)).all()
    assert all(np.mean(times) == pytest.approx(1.0, abs=0.2) for times in per_patient.values())


def test_one_seed_gives_one_set_of_replicates_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    first = drawn()
    assert not np.array_equal(first, drawn(seed=2))
    monkeypatch.setattr(intervals, "_BLOCK", 35)
    assert len(list(intervals.replicates(PATIENTS, 200, 1))) > 50
    np.testing.assert_array_equal(first, drawn())


def test_weighted_replicates_equal_a_loop_over_the_resampled_rows() -> None:
    weights = drawn(100)
    auc, ap = cl.roc_auc(Y, P, weights), cl.average_precision(Y, P, weights)
    defined = 0
    for i, w in enumerate(weights.astype(int)):
        y, p = np.repeat(Y, w), np.repeat(P, w)
        if y.all() or not y.any():
            assert np.isnan(auc[i])
            continue
        defined += 1
        assert auc[i] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
        assert ap[i] == pytest.approx(average_precision_score(y, p), abs=1e-12)
    assert 50 < defined < 100


def test_a_hundred_pictures_of_four_patients_are_as_uncertain_as_four_patients() -> None:
    right = np.repeat([True, True, False, False], 25)
    shares = [
        np.concatenate([w @ right / w.sum(axis=1) for w in intervals.replicates(keys, 4000, 0)])
        for keys in (np.repeat(np.arange(4), 25), np.arange(100))
    ]
    assert np.std(shares[0]) == pytest.approx(np.sqrt(0.25 / 4), rel=0.05)
    assert np.std(shares[1]) == pytest.approx(np.sqrt(0.25 / 100), rel=0.05)


def test_percentiles_leave_the_undefined_out_and_say_none_where_most_are() -> None:
    values = np.arange(1001.0)
    assert intervals.percentile(values) == pytest.approx((25.0, 975.0))
    assert intervals.percentile(values, level=0.8) == pytest.approx((100.0, 900.0))
    assert intervals.percentile(np.append(values, [np.nan] * 1001)) == pytest.approx((25.0, 975.0))
    assert intervals.percentile(np.append(values, [np.nan] * 1002)) is None
    assert intervals.percentile(np.full(3, np.nan)) is None


@settings(max_examples=1000, deadline=None)
@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_of_a_share_are_those_of_statsmodels(trial: tuple[int, int]) -> None:
    hits, n = trial
    with np.errstate(divide="ignore", invalid="ignore"):  # statsmodels asks for quantiles of Beta(0, n) too
        exact = proportion_confint(hits, n, method="beta")
    assert intervals.clopper_pearson(hits, n) == pytest.approx(exact, abs=1e-9)
    assert intervals.wilson(hits, n) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-9)


def test_the_modified_wilson_interval_covers_where_wilsons_own_does_not() -> None:
    n = 100
    shares = np.linspace(0.0005, 0.03, 60)
    ends = {of: np.array([of(k, n) for k in range(n + 1)]) for of in (intervals.wilson, intervals.wilson_modified)}
    least = {
        of: min(binom.pmf(np.arange(n + 1), n, p)[(found[:, 0] <= p) & (p <= found[:, 1])].sum() for p in shares)
        for of, found in ends.items()
    }
    assert least[intervals.wilson] < 0.9
    assert least[intervals.wilson_modified] > 0.925
    # Brown, Cai and DasGupta 2001: with one success the lower end is −log(0.95)/n
    assert intervals.wilson_modified(1, n)[0] == pytest.approx(-np.log(0.95) / n)
    assert intervals.wilson_modified(99, n)[1] == pytest.approx(1 + np.log(0.95) / n)
    assert intervals.wilson_modified(40, n) == intervals.wilson(40, n)


def test_bca_is_that_of_scipy_from_the_same_replicates() -> None:
    x = np.random.default_rng(7).exponential(size=40)
    drawn_rows = np.concatenate(list(intervals.draws(40, 5000, 3)))
    spread = drawn_rows @ x / 40
    left = (x.sum() - x) / 39
    got = intervals.bca(x.mean(), spread, left)
    want = bootstrap((x,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(0)).confidence_interval
    assert got == pytest.approx(tuple(want), abs=0.015)
    plain = intervals.percentile(spread)
    assert got is not None
    assert plain is not None
    assert got[0] > plain[0]  # a mean of a skewed variable is corrected upwards
    assert got[1] > plain[1]


def test_bca_without_a_measure_of_bias_gives_the_percentiles_and_none_where_most_are_undefined() -> None:
    values = np.linspace(1.0, 2.0, 101)
    assert intervals.bca(0.5, values, np.array([0.4, 0.6])) == intervals.percentile(values)
    assert intervals.bca(1.5, np.append(values, np.full(200, np.nan)), np.array([1.0])) is None


def test_draws_count_patients_and_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(intervals.draws(7, 100, 5)))
    assert whole.shape == (100, 7)
    assert (whole.sum(axis=1) == 7).all()
    monkeypatch.setattr(intervals, "_BLOCK", 21)
    monkeypatch.setattr(intervals, "_CACHED", 14)
    np.testing.assert_array_equal(np.concatenate(list(intervals.draws(7, 100, 5))), whole)


def test_ends_on_the_logit_scale_lie_evenly_about_the_value() -> None:
    low, high = intervals.on_logit(0.9, 0.04)
    assert np.log(high / (1 - high)) + np.log(low / (1 - low)) == pytest.approx(2 * np.log(9))
    assert 0 < low < 0.9 < high < 1
