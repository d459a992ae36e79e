from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, kstest

from insula.core.errors import EvaluationError
from insula.infer.conformal import members, prediction_set, quantiles

CLASSES = ("a", "b", "c")


def softmax_cases(g: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """An overconfident model of three classes that is often wrong."""
    truth = g.integers(0, 3, n)
    logits = g.normal(0, 2.0, (n, 3)) + 1.5 * np.eye(3)[truth]
    p = np.exp(3 * logits)
    return p / p.sum(axis=1, keepdims=True), np.eye(3, dtype=bool)[truth]


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_coverage_per_class_is_at_least_the_level_though_the_model_is_poor(
    level: float, kind: Literal["multiclass", "multilabel"]
) -> None:
    g = np.random.default_rng(3)
    kept, seen = np.zeros(3), np.zeros(3)
    for _ in range(60):
        if kind == "multiclass":
            (p, y), (q, z) = softmax_cases(g, 150), softmax_cases(g, 150)
        else:
            y, z = g.random((150, 3)) < 0.4, g.random((150, 3)) < 0.4
            p, q = np.clip(g.random((150, 3)) * 0.7 + 0.2 * y, 0, 1), np.clip(g.random((150, 3)) * 0.7 + 0.2 * z, 0, 1)
        limits = quantiles(p, y, kind, level)
        for row, truth in zip(q, z, strict=True):
            inside = prediction_set(row, limits, CLASSES, kind)
            for k in np.flatnonzero(truth):
                seen[k] += 1
                kept[k] += CLASSES[k] in inside
    coverage = kept / seen
    assert (coverage > level - 0.015).all()
    assert (coverage < level + 0.04).all()  # not bought by sets of everything


def test_the_quantile_is_the_rank_that_the_theory_asks_for() -> None:
    p = np.linspace(0.05, 0.95, 19)
    probabilities = np.column_stack([p, 1 - p])
    labels = np.column_stack([np.ones(19, bool), np.zeros(19, bool)])
    first, second = quantiles(probabilities, labels, "multiclass", 0.9)
    assert first == pytest.approx(np.sort(1 - p)[18 - 1])  # ceil(20 * 0.9) = 18th of 19
    assert second == 1.0


@pytest.mark.parametrize(("m", "level"), [(9, 0.9), (20, 0.9), (57, 0.8), (8, 0.9)])
def test_coverage_given_the_calibration_cases_is_distributed_as_the_theory_says(m: int, level: float) -> None:
    """Beta(r, m + 1 - r) with r = ceil((m + 1) level), so at least the level on average (Vovk 2012, prop. 2a)."""
    g = np.random.default_rng(m)
    scores = g.random((4000, m))
    y = np.column_stack([np.ones(m, bool), np.zeros(m, bool)])
    covered = np.array([quantiles(np.column_stack([1 - s, s]), y, "binary", level)[0] for s in scores])
    rank = math.ceil((m + 1) * level - 1e-9)
    if rank > m:
        assert (covered == 1.0).all()  # too few for the level: the class is in every set
        return
    assert kstest(covered, beta(rank, m + 1 - rank).cdf).pvalue > 0.001
    assert covered.mean() == pytest.approx(rank / (m + 1), abs=4 * covered.std() / np.sqrt(4000))
    assert rank / (m + 1) >= level


def test_temperature_does_not_change_the_sets_of_two_classes() -> None:
    g = np.random.default_rng(8)
    z, z_new = g.normal(0, 2, 80), g.normal(0, 2, 200)
    y = g.random(80) < 1 / (1 + np.exp(-z))
    sets = []
    for t in (0.5, 1.0, 3.0):
        p, q = (np.column_stack([1 / (1 + np.exp(v / t)), 1 / (1 + np.exp(-v / t))]) for v in (z, z_new))
        sets.append(members(q, quantiles(p, np.column_stack([~y, y]), "binary", 0.9)))
    assert (sets[0] == sets[1]).all()
    assert (sets[1] == sets[2]).all()


def test_members_of_many_rows_are_the_sets_of_each() -> None:
    p, _ = softmax_cases(np.random.default_rng(5), 40)
    limits = (0.4, 0.7, 0.95)
    for row, inside in zip(p, members(p, limits), strict=True):
        assert prediction_set(row, limits, CLASSES, "multiclass") == tuple(np.array(CLASSES)[inside])
    with pytest.raises(EvaluationError, match="belong together"):
        members(p, (0.4, 0.7))


def test_a_class_with_too_few_cases_is_always_kept() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    limits = quantiles(p, np.eye(2, dtype=bool), "multiclass", 0.9)
    assert limits == (1.0, 1.0)
    assert prediction_set(np.array([1.0, 0.0]), limits, ("a", "b"), "multiclass") == ("a", "b")


def test_a_set_can_be_empty_and_keeps_the_order_of_classes() -> None:
    assert prediction_set(np.array([0.4, 0.3, 0.3]), (0.1, 0.1, 0.1), CLASSES, "multiclass") == ()
    assert prediction_set(np.array([0.1, 0.5, 0.4]), (0.9, 0.2, 0.6), CLASSES, "multiclass") == ("a", "c")


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EvaluationError, match="shape"):
        quantiles(np.zeros((3, 2)), np.zeros((3, 3), bool), "multiclass", 0.9)
    with pytest.raises(EvaluationError, match="exactly one"):
        quantiles(np.zeros((3, 2)), np.zeros((3, 2), bool), "multiclass", 0.9)
    with pytest.raises(EvaluationError, match="level"):
        quantiles(np.zeros((3, 2)), np.ones((3, 2), bool), "multilabel", 1.0)
