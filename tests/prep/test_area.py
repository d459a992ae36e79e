from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from insula.prep.area import shrink, weights


def shrunk(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    out = np.empty((len(planes), height, width), np.float32)
    shrink(planes, out)
    return out


@pytest.mark.parametrize(("old", "new"), [((512, 512), (224, 224)), ((300, 411), (96, 128)), ((64, 64), (64, 17))])
def test_it_is_opencv_s_area_resampling(old: tuple[int, int], new: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).normal(0, 300, old).astype(np.float32)
    theirs = cv2.resize(plane, new[::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(shrunk(plane[None], *new)[0], theirs, rtol=1e-4, atol=1e-3)


def test_whole_ratios_are_block_means() -> None:
    plane = np.arange(48, dtype=np.float32).reshape(6, 8)
    np.testing.assert_allclose(shrunk(plane[None], 3, 4)[0], plane.reshape(3, 2, 4, 2).mean((1, 3)), rtol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(512, 224), (100, 99), (7, 7), (1000, 3)])
def test_every_row_averages_and_every_pixel_counts_alike(old: int, new: int) -> None:
    table = weights(old, new).toarray()
    np.testing.assert_allclose(table.sum(1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(table.sum(0), new / old, rtol=1e-5)


def test_several_planes_give_the_bits_of_each_alone_even_if_they_come_in_one_array() -> None:
    planes = np.random.default_rng(3).normal(0, 300, (5, 70, 90)).astype(np.float32)
    one = np.empty((70, 90), np.float32)

    def in_turn() -> Iterator[np.ndarray]:
        for plane in planes:
            one[:] = plane
            yield one

    out = np.empty((5, 31, 40), np.float32)
    shrink(in_turn(), out)
    for plane, small in zip(planes, out, strict=True):
        assert (shrunk(plane[None], 31, 40)[0] == small).all()
