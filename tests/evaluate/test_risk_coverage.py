from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from insula.core.errors import EvaluationError
from insula.evaluate.risk_coverage import aurc, judge


def by_hand(right: NDArray[np.bool_]) -> float:
    """The area for cases in the order in which they are accepted."""
    return float(np.mean([np.mean(~right[: j + 1]) for j in range(len(right))]))


def test_without_ties_the_area_is_the_mean_error_over_all_numbers_of_accepted_cases() -> None:
    g = np.random.default_rng(0)
    for n in (1, 2, 17, 60):
        c, right = g.random(n), g.random(n) < 0.7
        assert aurc(c, right)[0] == pytest.approx(by_hand(right[np.argsort(-c)]), abs=1e-12)


def test_with_ties_the_area_is_the_mean_over_the_orders_of_equal_cases() -> None:
    g = np.random.default_rng(1)
    c, right = g.integers(0, 4, 12) / 4, g.random(12) < 0.6
    found = []
    for _ in range(6000):
        order = np.lexsort((g.random(12), -c))
        found.append(by_hand(right[order]))
    assert aurc(c, right)[0] == pytest.approx(np.mean(found), abs=4 * np.std(found) / np.sqrt(6000))
    assert aurc(np.ones(12), right)[0] == pytest.approx(np.mean(~right))


def test_a_weight_is_a_case_that_stands_so_often() -> None:
    g = np.random.default_rng(2)
    c, right = g.integers(0, 9, 30) / 9, g.random(30) < 0.8
    w = g.integers(0, 4, (3, 30)).astype(float)
    repeated = [aurc(np.repeat(c, row.astype(int)), np.repeat(right, row.astype(int)))[0] for row in w]
    assert aurc(c, right, w) == pytest.approx(repeated)


def test_confidence_that_knows_nothing_gains_nothing_and_perfect_confidence_gains_all() -> None:
    g = np.random.default_rng(3)
    right = g.random(300) < 0.75
    owners = np.arange(300).astype(str)
    blind = judge(g.random(300), right, owners, 400)
    assert blind.gain.interval is not None
    assert blind.gain.interval[0] < 0 < blind.gain.interval[1]
    seeing = judge(right + 0.1 * g.random(300), right, owners, 400)
    assert seeing.aurc.value == pytest.approx(seeing.best)
    assert seeing.gain.interval is not None
    assert seeing.gain.interval[0] > 0.1
    assert seeing.at_random.value == pytest.approx(np.mean(~right))
    error = 1 - right.mean()
    assert seeing.best == pytest.approx(error + (1 - error) * np.log(1 - error), abs=2 / 300)  # Geifman et al., eq. 4


def test_the_curve_ends_with_the_error_of_all_and_is_thinned() -> None:
    g = np.random.default_rng(4)
    c, right = g.random(5000), g.random(5000) < 0.8
    found = judge(c, right, np.arange(5000) // 5, 50)
    assert len(found.coverage) <= 200
    assert found.coverage[-1] == 1.0
    assert found.risk[-1] == pytest.approx(np.mean(~right))
    middle = found.coverage[100]
    kept = right[np.argsort(-c)][: round(middle * 5000)]
    assert found.risk[100] == pytest.approx(np.mean(~kept))


def test_the_interval_of_the_gain_covers_the_truth() -> None:
    """Calibrated confidences, even on (0, 1): E[area] over a large sample stands in for the truth."""
    g = np.random.default_rng(5)
    c = g.random(400_000)
    right = g.random(400_000) < c
    truth = float(np.mean(~right) - aurc(c, right)[0])
    hit = 0
    for _ in range(200):
        c = g.random(80)
        found = judge(c, g.random(80) < c, np.arange(80), 300).gain.interval
        hit += found is not None and found[0] <= truth <= found[1]
    assert hit / 200 > 0.9


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EvaluationError, match="equal lists"):
        judge(np.ones(2), np.ones(3, bool), ["a", "b"])
    with pytest.raises(EvaluationError, match="equal lists"):
        judge(np.array([np.nan]), np.ones(1, bool), ["a"])
