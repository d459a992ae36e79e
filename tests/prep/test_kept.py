from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from insula.core.types import FloatArray
from insula.prep.kept import KeptMasks, Spacing

ONE = (1.0, 1.0, 5.0)


class Counted:
    """Finds what is above 0, and counts how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, array: FloatArray, spacing: Spacing) -> NDArray[np.bool_]:
        self.times += 1
        return array > 0


def scan(seed: int, shape: tuple[int, int, int] = (3, 7, 5)) -> FloatArray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def test_the_same_content_is_found_once_and_equal() -> None:
    kept, find = KeptMasks(1 << 20), Counted()
    first = kept.of(scan(0), ONE, find)
    again = kept.of(scan(0).copy(), ONE, find)
    assert find.times == 1
    assert again.dtype == np.bool_
    np.testing.assert_array_equal(first, again)
    again[:] = False  # a copy: who changes it changes nobody else's
    np.testing.assert_array_equal(kept.of(scan(0), ONE, find), scan(0) > 0)


def test_another_value_spacing_or_shape_is_found_anew() -> None:
    kept, find = KeptMasks(1 << 20), Counted()
    array = scan(0, (1, 4, 6))
    kept.of(array, ONE, find)
    changed = array.copy()
    changed[0, 0, 0] *= -1
    np.testing.assert_array_equal(kept.of(changed, ONE, find), changed > 0)
    kept.of(array, (1.0, 2.0, 5.0), find)
    assert kept.of(array.reshape(1, 6, 4), ONE, find).shape == (1, 6, 4)
    assert find.times == 4


def test_the_one_asked_for_longest_ago_is_dropped_first() -> None:
    kept, find = KeptMasks(30), Counted()  # two masks of 14 bytes
    for seed in (0, 1, 0, 2):
        kept.of(scan(seed), ONE, find)
    assert find.times == 3
    kept.of(scan(0), ONE, find)
    assert find.times == 3
    kept.of(scan(1), ONE, find)
    assert find.times == 4


def test_a_mask_larger_than_all_that_may_be_kept_and_a_failure_are_not_kept() -> None:
    kept, find = KeptMasks(3), Counted()
    for _ in range(2):
        np.testing.assert_array_equal(kept.of(scan(0), ONE, find), scan(0) > 0)
    assert find.times == 2

    def fails(array: FloatArray, spacing: Spacing) -> NDArray[np.bool_]:
        raise ValueError("no brain")

    for _ in range(2):
        with pytest.raises(ValueError, match="no brain"):
            kept.of(scan(1), ONE, fails)
