from __future__ import annotations

import numpy as np

from insula.infer.overlay import Style
from insula.infer.projection import _MARGIN as M
from insula.infer.projection import projections

S, H, W = 5, 12, 10
SPACING = (2.0, 1.0, 3.0)  # mm along x, y, z


def drawn(heat: np.ndarray, ground: float = 0.5) -> np.ndarray:
    return projections([np.full((H, W), ground, np.float32)] * S, heat, SPACING, 1.0)


def planes(picture: np.ndarray) -> list[np.ndarray]:
    """The three planes out of their frames: 12×20, 15×20 and 15×12 pixels of 1 mm."""
    found, left = [], 0
    for height, width in ((H, 2 * W), (3 * S, 2 * W), (3 * S, H)):
        top = M + (3 * S - height) // 2
        found.append(picture[top : top + height, left + M : left + M + width])
        left += width + 2 * M
    return found


def test_without_heat_there_are_three_grey_planes_true_to_millimetres() -> None:
    picture = drawn(np.full((S, H, W), np.nan, np.float32))
    for plane in planes(picture):
        assert (plane == 255).all()  # the mean, as bright as its brightest
    assert picture.shape[0] == 3 * S + 2 * M
    assert (planes(drawn(np.full((S, H, W), -2.0, np.float32)))[0] == 255).all()


def test_a_hot_voxel_lies_where_each_plane_says() -> None:
    heat = np.zeros((S, H, W), np.float32)
    heat[4, 2, 7] = 1.0  # the topmost slice, in front, on the patient's left
    above, front, side = (255 * 3 - plane.astype(int).sum(2) for plane in planes(drawn(heat)))
    for plane, (rows, columns) in ((above, (2, 15)), (front, (1, 15)), (side, (1, 2))):
        row, column = np.unravel_index(int(plane.argmax()), plane.shape)
        assert abs(row - rows) <= 1 and abs(column - columns) <= 1  # noqa: PT018
    assert above[H // 2 :].max() == 0
    assert front[6:].max() == 0


def test_the_heat_is_the_largest_along_the_line_not_the_sum() -> None:
    one, many = np.zeros((S, H, W), np.float32), np.zeros((S, H, W), np.float32)
    one[2, 3, 3] = 0.6
    many[:, 3, 3] = 0.6
    np.testing.assert_array_equal(planes(drawn(one))[0], planes(drawn(many))[0])


def test_letters_stand_beside_the_planes_and_never_on_them() -> None:
    picture = drawn(np.zeros((S, H, W), np.float32), 0.0)
    assert all(plane.max() == 0 for plane in planes(picture))
    assert picture[:, :M].max() > 100  # R
    assert picture[:M, M : M + 2 * W].max() > 100  # A


def test_small_planes_are_enlarged_alike() -> None:
    small = drawn(np.zeros((S, H, W), np.float32))
    large = projections(
        [np.full((H, W), 0.5, np.float32)] * S, np.zeros((S, H, W), np.float32), SPACING, 1.0, Style(least=100)
    )
    assert small.shape[0] - 2 * M == 3 * S
    assert large.shape[0] - 2 * M == 75  # the longest side, 20 mm, has 100 pixels
