from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind
from statsmodels.stats.proportion import confint_proportions_2indep

from insula.metrics import group_difference as gd
from insula.metrics.compare import delong


@pytest.mark.parametrize(("a", "n", "b", "m"), [(56, 70, 48, 80), (9, 10, 3, 10), (0, 20, 6, 30), (20, 20, 25, 30)])
@pytest.mark.parametrize("level", [0.95, 0.999])
def test_the_difference_of_shares_is_newcombes(a: int, n: int, b: int, m: int, level: float) -> None:
    expected = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff", alpha=1 - level)
    assert gd.difference(gd.share(a, n), gd.share(b, m), level) == pytest.approx(expected, abs=1e-9)


def test_the_published_interval() -> None:
    """Newcombe 1998, table II, method 10, contrast (a): 56/70 − 48/80."""
    found = gd.difference(gd.share(56, 70), gd.share(48, 80))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_p_is_below_005_just_where_the_interval_lies_above_the_limit() -> None:
    for hits in range(20, 41):
        a, b = gd.share(38, 40), gd.share(hits, 40)
        p = gd.p_above(lambda level, a=a, b=b: gd.difference(a, b, level), a.value - b.value, 0.1)  # type: ignore[misc]
        assert (p < 0.05) == (gd.difference(a, b)[0] > 0.1)


def test_p_is_1_where_the_figure_is_within_the_limit() -> None:
    a, b = gd.share(30, 40), gd.share(28, 40)
    assert gd.p_above(lambda level: gd.difference(a, b, level), a.value - b.value, 0.1) == 1.0


def test_p_of_means_is_nearly_that_of_students_test_for_even_groups() -> None:
    rng = np.random.default_rng(3)
    x, z = rng.normal(0.15, 1.0, 400), rng.normal(0.0, 1.0, 400)
    a, b = gd.mean(x), gd.mean(z)
    p = gd.p_above(lambda level: gd.difference(a, b, level), a.value - b.value, 0.0)
    assert p == pytest.approx(ttest_ind(x, z, equal_var=False).pvalue, rel=0.05)


def test_the_variance_of_an_area_is_delongs() -> None:
    rng = np.random.default_rng(5)
    y = np.repeat([True, False], [80, 120])
    p = rng.normal(1.2 * y, 1.0)
    rate = gd.area(y, p)
    against = delong(y, p, rng.permutation(len(y)) * 0.0)  # a constant has an area of 0.5 and no variance
    assert against.difference.interval is not None
    half = (against.difference.interval[1] - against.difference.interval[0]) / 2
    low, high = rate.ends(0.95)
    assert rate.value == pytest.approx(against.first)
    assert (high - low) / 2 == pytest.approx(half, rel=0.06)
    assert low < rate.value < high


def test_an_area_of_one_keeps_a_lower_end_and_few_rows_have_none() -> None:
    assert 0.6 < gd.area([True] * 10 + [False] * 10, [1.0] * 10 + [0.0] * 10).ends(0.95)[0] < 0.95
    assert gd.area([True, True, False, False, False], [0.9, 0.8, 0.1, 0.2, 0.3]).ends(0.95) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("ends", "size"), [((0.1, 0.4), (0.1, 0.4)), ((-0.4, -0.1), (0.1, 0.4)), ((-0.1, 0.3), (0, 0.3))]
)
def test_the_size_of_a_difference(ends: tuple[float, float], size: tuple[float, float]) -> None:
    assert gd.either_way(ends) == pytest.approx(size)


def test_the_largest_difference_of_two_groups_is_the_size_of_theirs() -> None:
    a, b = gd.share(30, 60), gd.share(50, 60)
    assert gd.largest([(a, b)]) == pytest.approx(gd.either_way(gd.difference(a, b)))


def test_the_least_ratio_holds_its_value_and_stays_within_0_and_1() -> None:
    low, high = gd.least_ratio([(gd.share(30, 60), gd.share(50, 60), gd.share(40, 60))])
    assert 0 < low < 0.6 < high < 1
    assert gd.least_ratio([(gd.share(0, 30), gd.share(15, 30))])[0] == 0.0
    assert gd.least_ratio([(gd.share(0, 30), gd.share(15, 30))])[1] < 0.5
    assert gd.least_ratio([(gd.share(0, 30), gd.share(0, 30))]) == (0.0, 1.0)


def test_intervals_of_the_largest_difference_hold_the_truth() -> None:
    """Three groups of 40, sensitivities 0.8, 0.7, 0.8 (apart by 0.1) and all equal (apart by 0)."""
    rng = np.random.default_rng(2)
    for truth in ([0.8, 0.7, 0.8], [0.8, 0.8, 0.8], [0.95, 0.6, 0.75]):
        hits = rng.binomial(40, truth, (400, 3))
        gap = max(truth) - min(truth)
        ends = [gd.largest([[gd.share(int(h), 40) for h in row]]) for row in hits]
        assert np.mean([low - 1e-12 <= gap <= high for low, high in ends]) >= 0.94
        ratios = [gd.least_ratio([[gd.share(int(h), 40) for h in row]]) for row in hits]
        held = [
            low <= min(truth) / max(truth) + 1e-12 and min(truth) / max(truth) <= high + 1e-12 for low, high in ratios
        ]
        assert np.mean(held) >= 0.94


def test_nothing_has_no_bounds() -> None:
    assert math.isnan(gd.share(0, 0).value)
    assert gd.share(0, 0).ends(0.95) == (0.0, 1.0)
    assert gd.mean([0.1, 0.2]).ends(0.95) == (-math.inf, math.inf)
