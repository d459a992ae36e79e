from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from insula.infer.uncertainty import SOURCES, entropy, interval, of_draws
from insula.metrics.probabilities import Kind


def test_closed_forms() -> None:
    sure = of_draws(np.tile([1.0, 0.0], (8, 1)), "multiclass")
    assert (sure.draws, sure.entropy, sure.mutual_information) == (8, 0.0, 0.0)
    split = of_draws(np.array([[1.0, 0.0], [0.0, 1.0]] * 4), "binary")
    assert split.entropy == pytest.approx(np.log(2))
    assert split.mutual_information == pytest.approx(np.log(2))
    np.testing.assert_allclose(split.spread, 0.5)
    torn = of_draws(np.full((8, 2), 0.5), "multiclass")
    assert torn.entropy == pytest.approx(np.log(2))
    assert torn.mutual_information == pytest.approx(0.0, abs=1e-12)
    labels = of_draws(np.tile([0.1, 0.5, 0.9], (8, 1)), "multilabel", 1)
    assert labels.entropy == pytest.approx(np.log(2))
    assert labels.mutual_information == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["multiclass", "ordinal"])
def test_entropy_is_scipys(kind: Kind) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), 20)
    np.testing.assert_allclose(entropy(p, kind), stats.entropy(p, axis=1))


def test_the_entropy_of_labels_is_that_of_the_one_that_is_answered() -> None:
    p = np.random.default_rng(0).random((6, 3))
    want = [stats.entropy([row[2], 1 - row[2]]) for row in p]
    np.testing.assert_allclose(entropy(p, "multilabel", 2), want)
    found = of_draws(p, "multilabel", 2)
    mean = p[:, 2].mean()
    each = [stats.entropy([row[2], 1 - row[2]], [mean, 1 - mean]) for row in p]
    assert found.mutual_information == pytest.approx(np.mean(each))
    np.testing.assert_allclose(found.spread, p.std(axis=0), rtol=1e-6)  # of every label


def test_mutual_information_is_the_mean_divergence_of_a_draw_from_the_mean() -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(3), 50)
    found = of_draws(p, "multiclass")
    assert found.mutual_information == pytest.approx(np.mean([stats.entropy(row, p.mean(axis=0)) for row in p]))
    assert 0 < found.mutual_information < found.entropy
    np.testing.assert_allclose(found.mean, p.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.spread, p.std(axis=0), rtol=1e-6)


@pytest.mark.parametrize("draws", [3, 9, 30])
def test_a_further_draw_lies_within_the_interval_as_often_as_it_says(draws: int) -> None:
    g = np.random.default_rng(draws)
    x = g.normal(-1.0, 0.7, (4000, draws + 1))
    hits = 0
    for row in expit(x):
        low, high = interval(np.stack([row[:-1], 1 - row[:-1]], axis=1))
        hits += low[0] <= row[-1] <= high[0]
        np.testing.assert_allclose(low[1], 1 - high[0], atol=1e-9)
    assert abs(hits / 4000 - 0.95) < 0.012  # 3.5 standard errors


def test_the_interval_is_the_textbooks_on_the_logit_scale() -> None:
    p = np.array([0.2, 0.3, 0.25, 0.4])
    x = logit(p)
    half = stats.t.ppf(0.975, 3) * x.std(ddof=1) * np.sqrt(1.25)
    low, high = interval(p[:, None])
    assert (low[0], high[0]) == pytest.approx((expit(x.mean() - half), expit(x.mean() + half)))


def test_certain_draws_stay_finite() -> None:
    found = of_draws(np.array([[0.0, 1.0], [1e-5, 1 - 1e-5], [0.0, 1.0]]), "multiclass")
    assert np.isfinite([found.low, found.high]).all()
    assert (found.low >= 0).all()
    assert (found.high <= 1).all()


@pytest.mark.parametrize("shape", [(1, 2), (0, 2), (4,)])
def test_one_draw_says_nothing_of_uncertainty(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two rows"):
        of_draws(np.full(shape, 0.5), "multiclass")


def test_the_sources_are_those_of_the_recipe() -> None:
    assert SOURCES == ("dropout", "views", "members")
