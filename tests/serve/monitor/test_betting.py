from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import beta, kstest

from insula.serve.monitor import betting

pytestmark = pytest.mark.serve


def by_definition(values: NDArray[np.float64], before: NDArray[np.float64], ties: NDArray[np.float64]) -> list[float]:
    found, seen = [], list(before)
    for value, tie in zip(values, ties, strict=True):
        seen.append(value)
        found.append((sum(s > value for s in seen) + tie * sum(s == value for s in seen)) / len(seen))
    return found


def test_p_values_are_the_ranks_of_the_definition_over_several_blocks_and_with_ties() -> None:
    g = np.random.default_rng(0)
    values, before, ties = g.integers(0, 40, 700) / 4, g.integers(0, 40, 30) / 4, g.random(700)
    np.testing.assert_allclose(betting.p_values(values, before, ties), by_definition(values, before, ties))


def test_p_values_are_even_whatever_the_numbers_are_while_nothing_changes() -> None:
    g = np.random.default_rng(1)
    for numbers in (g.standard_cauchy(3000), g.binomial(3, 0.4, 3000).astype(float), np.zeros(3000)):
        p = betting.p_values(numbers[25:], numbers[:25], g.random(2975))
        assert kstest(p, "uniform").pvalue > 0.01


def test_without_reference_values_the_stream_is_its_own() -> None:
    p = betting.p_values(np.array([3.0, 5.0]), np.zeros(0), np.array([0.5, 0.5]))
    np.testing.assert_allclose(p, [0.5, 0.25])


def by_hand(p: NDArray[np.float64]) -> list[float]:
    """The capital, patient by patient: what is kept back, and what lies on each density."""
    kept, on = 1.0, np.zeros(len(betting.BETS))
    found = []
    for i, value in enumerate(p):
        if i % betting.EVERY == 0:
            j = i // betting.EVERY + 1
            on += 1 / (j * (j + 1)) / len(on)
            kept -= 1 / (j * (j + 1))
        on *= [beta.pdf(value, a, b) for a, b in betting.BETS]
        found.append(kept + on.sum())
    return found


def test_the_capital_is_what_betting_by_hand_gives() -> None:
    p = np.random.default_rng(2).beta(0.7, 1.2, 90)
    np.testing.assert_allclose(np.exp(betting.log_capital(p)), by_hand(p))
    assert len(betting.log_capital(np.zeros(0))) == 0


def test_a_fair_game_wins_nothing_on_average() -> None:
    first = np.array([0.03, 0.6])

    def after(last: float) -> float:
        return float(np.exp(betting.log_capital(np.append(first, last))[-1]))

    mean, _ = quad(after, 0, 1, points=(1e-6, 1e-3, 0.999, 1 - 1e-6), limit=200)
    assert mean == pytest.approx(float(np.exp(betting.log_capital(first)[-1])), rel=1e-3)


def test_the_share_of_watches_with_a_false_alarm_is_at_most_the_rate_however_often_one_looks() -> None:
    g = np.random.default_rng(3)
    rate, watches, alarms = 0.2, 300, 0
    for _ in range(watches):
        numbers = g.standard_t(2, 440)
        capital = betting.log_capital(betting.p_values(numbers[40:], numbers[:40], g.random(400)))
        alarms += capital.max() >= np.log(1 / rate)
    assert 0 < alarms <= watches * rate


@pytest.mark.parametrize(("before", "within"), [(0, 45), (3000, 75)])
def test_a_change_by_one_deviation_is_found_soon_and_late_ones_nearly_as_soon(before: int, within: int) -> None:
    g = np.random.default_rng(4)
    limit, found = np.log(10 / 0.05), 0
    for _ in range(20):
        numbers = g.standard_normal(200 + before + within)
        numbers[200 + before :] += 1.0
        capital = betting.log_capital(betting.p_values(numbers[200:], numbers[:200], g.random(before + within)))
        assert capital[:before].max(initial=0.0) < limit
        found += capital.max() >= limit
    assert found >= 18


@pytest.mark.parametrize("change", ["lower", "wider", "tighter"])
def test_a_change_in_any_direction_is_found(change: str) -> None:
    g = np.random.default_rng(5)
    numbers = g.standard_normal(500)
    later = numbers[200:]
    numbers[200:] = {"lower": later - 1.5, "wider": later * 4, "tighter": later / 4}[change]
    capital = betting.log_capital(betting.p_values(numbers[200:], numbers[:200], g.random(300)))
    assert capital.max() > np.log(10 / 0.05)


def test_ties_are_settled_alike_each_time_and_evenly() -> None:
    drawn = betting.ties([f"key {i}" for i in range(2000)])
    assert (drawn == betting.ties([f"key {i}" for i in range(2000)])).all()
    assert ((drawn > 0) & (drawn < 1)).all()
    assert kstest(drawn, "uniform").pvalue > 0.01
