from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import gmean
from sklearn.metrics import log_loss

from insula.core.errors import EvaluationError
from insula.metrics.aggregate import aggregate, fit_power

EXCLUSIVE = [[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]
LABELS = [[0.5, 0.2], [0.5, 0.9], [0.1, 0.9]]


@pytest.mark.parametrize(
    ("rows", "how", "want"),
    [
        (EXCLUSIVE, "mean", [0.5, 0.8 / 3, 0.7 / 3]),
        (EXCLUSIVE, "max", [0.7 / 1.5, 0.3 / 1.5, 0.5 / 1.5]),
        (EXCLUSIVE, "majority", [2 / 3, 0.0, 1 / 3]),
        (LABELS, "mean", [1.1 / 3, 2 / 3]),
        (LABELS, "max", [0.5, 0.9]),
        (LABELS, "noisy_or", [1 - 0.5 * 0.5 * 0.9, 1 - 0.8 * 0.1 * 0.1]),
        (LABELS, "majority", [2 / 3, 2 / 3]),
    ],
)
def test_rows_are_pooled_as_worked_by_hand(rows: list[list[float]], how: Any, want: list[float]) -> None:
    np.testing.assert_allclose(aggregate(rows, how), want, rtol=1e-12)


def test_noisy_or_over_exclusive_classes_is_a_distribution_in_the_order_of_the_chances() -> None:
    got = aggregate(EXCLUSIVE, "noisy_or")
    chances = np.array([1 - 0.4 * 0.8 * 0.3, 1 - 0.7 * 0.7 * 0.8, 1 - 0.9 * 0.5 * 0.9])
    np.testing.assert_allclose(got, chances / chances.sum(), rtol=1e-12)


@pytest.mark.parametrize("how", ["mean", "max", "noisy_or", "majority"])
def test_a_single_row_comes_back_and_certainty_stays_finite(how: Any) -> None:
    row = np.array([0.3, 0.6])
    got = aggregate(row[None], how)
    np.testing.assert_array_equal(got, row)
    got[0] = 9.0
    assert row[0] == 0.3
    np.testing.assert_allclose(aggregate([[1.0, 0.0], [1.0, 0.0]], how), [1.0, 0.0], atol=1e-9)


@pytest.mark.parametrize("how", ["max", "noisy_or"])
def test_sure_answers_to_separate_labels_are_not_taken_for_exclusive_classes(how: Any) -> None:
    rows = [[0.99999, 0.00001], [0.00001, 0.99999]]
    assert aggregate(rows, how, "multilabel").min() > 0.9999
    np.testing.assert_allclose(aggregate(rows, how, "multiclass"), [0.5, 0.5])


@pytest.mark.parametrize(
    ("rows", "how", "said"),
    [([], "mean", "at least one row"), ([0.5, 0.5], "mean", "at least one row"), (LABELS, "median", "'median'")],
)
def test_no_rows_and_unknown_ways_are_refused(rows: Any, how: Any, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        aggregate(rows, how)


def test_a_power_mean_goes_from_the_geometric_mean_over_the_mean_to_the_largest() -> None:
    rows = np.array([[0.2, 0.9], [0.8, 0.05], [0.4, 0.3]])
    np.testing.assert_array_equal(aggregate(rows, "learned", "multilabel"), rows.mean(axis=0))
    np.testing.assert_allclose(aggregate(rows, "learned", "multilabel", 3.0), (rows**3).mean(axis=0) ** (1 / 3))
    np.testing.assert_allclose(aggregate(rows, "learned", "multilabel", 500.0), rows.max(axis=0), rtol=5e-3)
    np.testing.assert_allclose(aggregate(rows, "learned", "multilabel", 1e-6), gmean(rows), rtol=1e-5)
    assert aggregate(EXCLUSIVE, "learned", "multiclass", 4.0).sum() == pytest.approx(1.0)
    assert np.isfinite(aggregate([[0.0, 1.0], [0.0, 1.0]], "learned", "multiclass", 64.0)).all()


def sick(power: float, patients: int = 300) -> tuple[list[np.ndarray], np.ndarray]:
    """Patients whose risk is the power mean of their slices' probabilities."""
    g = np.random.default_rng(4)
    rows = [np.column_stack([1 - p, p]) for p in g.beta(0.5, 1.5, (patients, 12))]
    risk = np.array([aggregate(r, "learned", "multilabel", power)[1] for r in rows])
    ill = g.random(patients) < risk
    return rows, np.column_stack([~ill, ill])


@pytest.mark.parametrize(("power", "low", "high"), [(1.0, 0.4, 2.5), (12.0, 5.0, 64.0)])
def test_the_power_is_found_again(power: float, low: float, high: float) -> None:
    rows, y = sick(power)
    one = [r[:, 1:] for r in rows]
    assert low <= fit_power(one, y[:, 1:], "multilabel") <= high


def test_the_power_found_has_the_least_log_loss_of_scikit_learn() -> None:
    rows, y = sick(6.0, 80)

    def loss(power: float) -> float:
        p = [aggregate(r, "learned", "multiclass", power) for r in rows]
        return float(log_loss(y.argmax(axis=1), np.stack(p), labels=[0, 1]))

    best = fit_power(rows, y, "multiclass")
    assert all(loss(best) <= loss(other) + 1e-9 for other in (0.1, 0.5, 1.0, 2.0, 8.0, 32.0))


def test_single_inputs_teach_no_power() -> None:
    assert fit_power([np.array([[0.2, 0.8]])] * 3, [[True, False]] * 3, "multiclass") == 1.0
    with pytest.raises(EvaluationError, match="2 patients"):
        fit_power([np.array([[0.2, 0.8]])] * 2, [[True, False]] * 3, "multiclass")
