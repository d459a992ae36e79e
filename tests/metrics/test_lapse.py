from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm, rankdata

from insula.metrics.lapse import Lapse, lapse


def test_without_a_lapse_the_likelihood_is_that_of_a_logistic_regression() -> None:
    """The ratio by hand: the likelihood at the found rate over a grid of curves against statsmodels' without a rate."""
    rng = np.random.default_rng(3)
    score = rng.normal(0, 1, 300)
    y = (rng.random(300) < expit(4 * score)) ^ (rng.random(300) < 0.1)
    z = norm.ppf((rankdata(score) - 0.5) / 300)
    plain = float(sm.Logit(y.astype(float), sm.add_constant(z)).fit(disp=0).llf)
    best = max(
        float(np.log(np.where(y, p, 1 - p)).sum())
        for e in np.linspace(0.005, 0.3, 60)
        for a in np.linspace(-1, 1, 9)
        for b in np.linspace(0.5, 12, 60)
        if (p := e + (1 - 2 * e) * expit(a + b * z)) is not None
    )
    found = lapse(y, score)
    assert found.ratio == pytest.approx(2 * (best - plain), abs=0.15)
    assert found.ratio >= 2 * (best - plain) - 1e-6
    assert found.rate == pytest.approx(0.1, abs=0.04)


def test_only_the_order_of_the_scores_counts() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(0, 1, 200)
    y = (score + rng.normal(0, 0.3, 200) > 0) ^ (rng.random(200) < 0.1)
    assert lapse(y, score) == lapse(y, expit(5 * score))


def test_perfect_order_lone_labels_and_ties_have_no_lapse() -> None:
    y = np.arange(40) >= 20
    assert lapse(y, np.arange(40.0)) == Lapse(0.0, 0.0)
    assert lapse(np.ones(10, bool), np.arange(10.0)) == Lapse(0.0, 0.0)
    assert lapse(y, np.zeros(40)).ratio == pytest.approx(0.0, abs=1e-6)


def test_a_few_turned_labels_of_a_perfect_order_are_counted() -> None:
    y = np.arange(200) >= 100
    y[[10, 40, 170, 190]] ^= True
    found = lapse(y, np.arange(200.0))
    assert found.rate == pytest.approx(0.02, abs=1e-3)
    assert found.ratio > 10


def test_a_ratio_without_turned_labels_is_seldom_large() -> None:
    """Half a chi-squared of one degree of freedom at the bound of 0 (Self and Liang, JASA 82:605, 1987): 2.5%."""
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(120):
        score = rng.normal(0, 1, 200)
        y = rng.random(200) < expit(3 * score)
        ratios.append(lapse(y, score).ratio)
    assert np.mean(np.array(ratios) > 3.84) <= 0.08
