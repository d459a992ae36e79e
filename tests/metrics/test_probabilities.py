from __future__ import annotations

import numpy as np
import pytest

from insula.core.errors import EvaluationError
from insula.metrics.probabilities import from_logits


def test_exclusive_classes_share_one_and_labels_stand_alone() -> None:
    logits = np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(from_logits(logits, 1.0, "multiclass"), [[0.125, 0.25, 0.625]])
    np.testing.assert_allclose(from_logits(logits, 1.0, "multilabel"), [[1 / 2, 2 / 3, 5 / 6]])


def test_the_temperature_divides_the_logits() -> None:
    np.testing.assert_allclose(from_logits(np.log([4.0]), 2.0, "multilabel"), [2 / 3])
    np.testing.assert_allclose(from_logits(np.log([1.0, 9.0]), 2.0, "multiclass"), [0.25, 0.75])


def test_huge_logits_and_further_axes_stay_in_range() -> None:
    logits = np.array([[[1e4, -1e4]], [[-1e4, -1e4]]])
    np.testing.assert_array_equal(from_logits(logits, 0.5, "multiclass"), [[[1.0, 0.0]], [[0.5, 0.5]]])
    np.testing.assert_array_equal(from_logits(logits, 0.5, "multilabel"), [[[1.0, 0.0]], [[0.0, 0.0]]])


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_above_0(temperature: float) -> None:
    with pytest.raises(EvaluationError, match="above 0"):
        from_logits([0.0, 1.0], temperature, "multiclass")
