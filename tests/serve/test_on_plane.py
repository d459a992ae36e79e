"""Heat on planes: of the prepared slices themselves, between them, across them, and beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from insula.serve.on_plane import heat_on_plane
from insula.serve.view import View

Array = NDArray[Any]


def view(cells: Array, side: int = 32, step: float = 4.0, numbers: tuple[int, ...] = ()) -> View:
    """Prepared slices of square pixels one millimetre wide, `step` mm apart, from the origin on."""
    numbers = numbers or tuple(range(cells.shape[1]))
    slices = np.zeros((max(numbers) + 1, side, side), np.uint8)
    affine = np.diag([1.0, 1.0, step, 1.0])
    return View(slices, cells.astype(np.float32), numbers, np.ones(len(numbers), np.float32), ("a",), affine, True)


def axial(z: float, spacing: float = 1.0, thickness: float = 4.0) -> Array:
    found = np.diag([spacing, spacing, thickness, 1.0])
    found[2, 3] = z
    return found


def ramp(slices: int = 4, side: int = 32) -> Array:
    """Heat that is its own place: 1 + column + 100 × slice, one cell for each pixel."""
    z, _, x = np.mgrid[:slices, :side, :side]
    return np.asarray(1.0 + x + 100.0 * z, np.float32)[None]


def test_a_prepared_slice_has_its_own_heat() -> None:
    cells = ramp()
    for number in range(4):
        found = heat_on_plane(view(cells), 0, axial(4.0 * number), (32, 32))
        np.testing.assert_allclose(found, cells[0, number], atol=1e-3)


def test_a_thin_slice_has_the_heat_of_the_nearest_prepared_one_and_none_beyond_them() -> None:
    seen = view(ramp())
    places = {z: heat_on_plane(seen, 0, axial(z, thickness=1.0), (32, 32))[0, 0] for z in (-3.0, -1.9, 1.0, 3.0, 13.9)}
    assert places == {-3.0: 0.0, -1.9: 1.0, 1.0: 1.0, 3.0: 101.0, 13.9: 301.0}


def test_a_slice_that_the_network_did_not_see_has_none() -> None:
    seen = view(ramp(2), numbers=(0, 2))
    assert heat_on_plane(seen, 0, axial(4.0), (32, 32)).max() == 0
    assert heat_on_plane(seen, 0, axial(8.0), (32, 32)).max() == 132


def test_finer_pixels_and_a_larger_field_are_laid_by_millimetres() -> None:
    plane = axial(4.0, 0.5)
    plane[:2, 3] = -16.0  # the picture begins 16 mm to the right and in front
    found = heat_on_plane(view(ramp()), 0, plane, (128, 128))
    assert found[:31].max() == 0
    assert found[:, :31].max() == 0
    assert found[60, 64] == pytest.approx(1 + 16 + 100, abs=0.01)  # 64 × 0.5 - 16 = 16 mm
    assert found[60, 65] == pytest.approx(1 + 16.5 + 100, abs=0.01)


def test_a_turned_picture_keeps_its_heat_in_the_patient() -> None:
    plane = axial(8.0)
    plane[:3, 0], plane[:3, 3] = (-1.0, 0.0, 0.0), (31.0, 0.0, 8.0)  # columns run to the patient's right
    cells = ramp()
    np.testing.assert_allclose(heat_on_plane(view(cells), 0, plane, (32, 32)), cells[0, 2, :, ::-1], atol=1e-3)


@pytest.mark.parametrize("coarse", [32, 8])
def test_a_sagittal_plane_crosses_all_slices(coarse: int) -> None:
    z, y, _ = np.mgrid[:4, :coarse, :coarse]
    cells = np.asarray(1.0 + y * 32 / coarse + 100.0 * z, np.float32)[None]
    plane = np.eye(4)
    plane[:3, 0], plane[:3, 1], plane[:3, 2] = (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)
    plane[:3, 3] = (10.0, 0.0, 14.0)  # rows run down from above the last slice
    found = heat_on_plane(view(cells), 0, plane, (20, 32))
    for row in range(20):
        height = 14.0 - row
        want = round(height / 4.0 + 1e-9)
        if not 0 <= height / 4.0 + 0.5 < 4.0 or abs(height % 4.0 - 2.0) < 1e-6:
            continue  # halfway between two slices either will do
        shift = (32 / coarse - 1) / 2
        assert found[row, 16] == pytest.approx(100.0 * want + 1 + 16 - shift, abs=0.01), row
    assert found[19].max() == 0  # five millimetres below the first slice


def test_across_and_along_agree_where_both_can_be_asked() -> None:
    generator = np.random.default_rng(4)
    cells = generator.normal(0, 1, (1, 6, 7, 7))
    seen = view(cells, side=28)
    tilted = axial(8.0)
    slope = 1e-2  # of a millimetre for each pixel: more than a quarter of a slice over a picture of 128
    tilted[2, 0] = slope
    flat = heat_on_plane(seen, 0, axial(8.0), (28, 28))
    same = heat_on_plane(seen, 0, tilted, (28, 128))[:, :28]
    np.testing.assert_allclose(same, flat, atol=0.02)  # cv2 interpolates in steps of a 32nd of a cell
