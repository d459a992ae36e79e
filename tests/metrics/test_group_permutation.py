from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import fisher_exact, kstest

from insula.core.errors import EvaluationError
from insula.metrics import fairness, group_permutation

Bools = NDArray[np.bool_]


def rows(cells: list[tuple[int, int, int, int]]) -> tuple[Bools, Bools, NDArray[np.intp]]:
    """Labels, answers and groups of tables (TP, FP, FN, TN), one a group."""
    y, called, of = [], [], []
    for g, (tp, fp, fn, tn) in enumerate(cells):
        y += [True] * tp + [False] * fp + [True] * fn + [False] * tn
        called += [True] * (tp + fp) + [False] * (fn + tn)
        of += [g] * (tp + fp + fn + tn)
    return np.array(y), np.array(called), np.array(of)


def test_two_even_groups_have_the_p_of_fishers_test() -> None:
    y, called, of = rows([(14, 3, 6, 17), (7, 3, 13, 17)])
    found = group_permutation.gaps(y, called, of, seed=0)["equal_opportunity_difference"]
    assert found.exact
    assert found.value == pytest.approx(0.35)
    assert found.p_value == pytest.approx(fisher_exact([[14, 6], [7, 13]]).pvalue)


def test_the_expectation_is_that_of_the_hypergeometric_distribution() -> None:
    y, called, of = rows([(1, 0, 1, 2), (1, 0, 1, 2)])
    found = group_permutation.gaps(y, called, of, seed=0)
    # of 2 hits among 2 + 2 positives both fall to one group with probability 1/3, to each one otherwise
    assert found["equal_opportunity_difference"].expected == pytest.approx(1 / 3)
    assert found["equal_opportunity_difference"].p_value == pytest.approx(1.0)


def test_drawn_permutations_agree_with_counted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    y, called, of = rows([(12, 3, 4, 13), (7, 5, 6, 10), (8, 2, 9, 12)])
    exact = group_permutation.gaps(y, called, of, seed=0)
    monkeypatch.setattr(group_permutation, "_EXACT", 10)
    drawn = group_permutation.gaps(y, called, of, seed=0, draws=20_000)
    for name in fairness.GAPS:
        assert exact[name].exact
        assert not drawn[name].exact
        assert drawn[name].p_value == pytest.approx(exact[name].p_value, abs=0.015)
        assert drawn[name].expected == pytest.approx(exact[name].expected, abs=0.01)


def test_demographic_parity_expects_what_prevalence_brings() -> None:
    y, called, of = rows([(36, 2, 4, 8), (9, 8, 1, 32)])
    found = group_permutation.gaps(y, called, of, seed=0)["demographic_parity_difference"]
    assert found.value > 0.35
    assert found.expected > 0.35
    assert found.p_value > 0.5


def test_one_seed_one_answer() -> None:
    rng = np.random.default_rng(1)
    y, of = rng.random(80) < 0.5, rng.integers(0, 3, 80)
    p = rng.random(80)
    assert group_permutation.areas(y, p, of, 7, 200) == group_permutation.areas(y, p, of, 7, 200)
    assert group_permutation.areas(y, p, of, 7, 200).expected != group_permutation.areas(y, p, of, 8, 200).expected


def test_a_group_whose_scores_say_nothing_is_found() -> None:
    rng = np.random.default_rng(2)
    y, of = np.tile([True, False], 150), np.repeat([0, 1], 150)
    p = rng.normal(np.where(of == 0, 2.5, 0.0) * y, 1.0)
    found = group_permutation.areas(y, p, of, 0, 499)
    assert found.value > 0.3
    assert found.expected < 0.1
    assert found.p_value == pytest.approx(1 / 500)


def test_p_values_are_uniform_where_groups_mean_nothing() -> None:
    """The score: 300 samples; the shares, which take few values, are never below their level by more than chance."""
    rng = np.random.default_rng(3)
    of_areas, of_shares = [], []
    for number in range(300):
        y, of = rng.random(60) < 0.5, rng.integers(0, 3, 60)
        p = rng.normal(1.0 * y, 1.0)
        of_areas.append(group_permutation.areas(y, p, of, number, 99).p_value)
        found = group_permutation.gaps(y, p > 0.5, of, number, 499)
        of_shares.append([found[name].p_value for name in fairness.GAPS])
    assert kstest(of_areas, "uniform").pvalue > 0.01
    for level in (0.05, 0.2, 0.5):
        rejected = (np.array(of_shares) <= level).mean(axis=0)
        assert (rejected <= level + 3 * np.sqrt(level * (1 - level) / 300)).all()
    assert ((np.array(of_shares) <= 0.5).mean(axis=0) > 0.35).all()


def test_one_group_is_refused() -> None:
    with pytest.raises(EvaluationError, match="needs two"):
        group_permutation.gaps([True, False], [True, False], [0, 0], 0)
    with pytest.raises(EvaluationError, match="needs two"):
        group_permutation.areas([True, False], [0.1, 0.2], [0, 0], 0)
