from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from insula.core.errors import EvaluationError
from insula.metrics.aggregate import aggregate

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
