from __future__ import annotations

import cv2
import numpy as np
import pytest

from insula.prep.area import shrink, weights


@pytest.mark.parametrize(("old", "new"), [((512, 512), (224, 224)), ((300, 411), (96, 128)), ((64, 64), (64, 17))])
def test_it_is_opencv_s_area_resampling(old: tuple[int, int], new: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).normal(0, 300, old).astype(np.float32)
    theirs = cv2.resize(plane, new[::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(shrink(plane, *new), theirs, rtol=1e-4, atol=1e-3)


def test_whole_ratios_are_block_means() -> None:
    plane = np.arange(48, dtype=np.float32).reshape(6, 8)
    np.testing.assert_allclose(shrink(plane, 3, 4), plane.reshape(3, 2, 4, 2).mean((1, 3)), rtol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(512, 224), (100, 99), (7, 7), (1000, 3)])
def test_every_row_averages_and_every_pixel_counts_alike(old: int, new: int) -> None:
    table = weights(old, new).toarray()
    np.testing.assert_allclose(table.sum(1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(table.sum(0), new / old, rtol=1e-5)
