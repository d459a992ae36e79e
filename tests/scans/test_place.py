from __future__ import annotations

import numpy as np
import pytest

from insula.core.errors import ScanError
from insula.scans.place import MOST_FILLED_MM, Placement, place

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def stack(heights: list[float], thickness: float | None = None, slant: float = 0.0) -> Placement:
    return place([(1.0, 2.0 + slant * z, z) for z in heights], AXIAL, (0.5, 0.25), thickness)


def heights(*gaps: float) -> list[float]:
    return [0.0, *np.cumsum(gaps).tolist()]


def test_even_slices_have_no_grid_and_nothing_to_say() -> None:
    placed = stack(heights(*[5.0] * 9))
    assert (placed.grid, placed.warnings) == (None, ())
    assert placed.affine[2, 2] == pytest.approx(5.0)


def test_two_parts_of_different_distance_are_resampled_to_the_smaller_one() -> None:
    placed = stack(heights(*[3.3] * 14, *[6.6] * 13, 6.7), thickness=6.6)
    assert placed.warnings == ("uneven slice gaps 3.3 to 6.7 mm, resampled to 3.3 mm (29 slices became 43)",)
    assert placed.grid is not None
    assert placed.grid[:15].tolist() == pytest.approx(list(range(15)), abs=0.02)
    assert placed.grid[-1] == 28.0
    # where a slice of the grid lies by the affine is where its mixture of slices lies by their positions
    given = np.array(heights(*[3.3] * 14, *[6.6] * 13, 6.7))
    by_affine = placed.affine[2, 3] + placed.affine[2, 2] * np.arange(len(placed.grid))
    np.testing.assert_allclose(np.interp(placed.grid, np.arange(29), given), by_affine, atol=0.07)


def test_one_odd_gap_between_even_parts_does_not_set_the_step() -> None:
    placed = stack(heights(*[4.0] * 13, 1.1, *[7.0] * 13), thickness=7.0)
    assert "resampled to 4.0 mm" in placed.warnings[0]


def test_missing_slices_are_counted_and_filled() -> None:
    placed = stack(heights(*[2.5] * 10, 7.5, *[2.5] * 10), thickness=2.5)
    assert placed.warnings == ("2 slices missing in gaps up to 7.5 mm, filled by interpolation",)
    assert placed.grid is not None
    assert placed.grid[9:15].tolist() == pytest.approx([9, 10, 10 + 1 / 3, 10 + 2 / 3, 11, 12])
    one = stack(heights(*[5.0] * 6, 10.0, *[5.0] * 6), thickness=5.0)
    assert one.warnings == ("1 slice missing in gaps up to 10.0 mm, filled by interpolation",)


def test_a_wide_hole_is_refused_with_its_size() -> None:
    with pytest.raises(ScanError, match=r"gap of 20.0 mm between slices 5.0 mm apart \(3 slices missing\)"):
        stack(heights(*[5.0] * 6, 20.0, *[5.0] * 6), thickness=5.0)
    with pytest.raises(ScanError, match="gap of 83"):
        stack(heights(*[1.0] * 6, 83.0), thickness=1.0)
    assert stack(heights(*[1.0] * 6, MOST_FILLED_MM, *[1.0] * 6), thickness=1.0).grid is not None


def test_a_gap_that_thick_slices_cover_is_no_hole() -> None:
    placed = stack(heights(*[2.0] * 5, *[12.0] * 5), thickness=12.0)
    assert placed.warnings[0].startswith("uneven slice gaps 2.0 to 12.0 mm, resampled to 2.0 mm")


def test_tilted_uneven_slices_keep_their_shear() -> None:
    placed = stack(heights(*[3.0] * 5, *[6.0] * 5), thickness=6.0, slant=0.3)
    assert placed.warnings[0] == f"gantry tilt {np.degrees(np.arctan(0.3)):.1f} degrees"
    np.testing.assert_allclose(placed.affine[:3, 2], [0.0, 0.9, 3.0], atol=1e-9)


def test_slices_beside_the_line_are_said() -> None:
    points = [(0.0, 0.0, 0.0), (0.0, 3.0, 5.0), (0.0, 0.0, 10.0)]
    assert place(points, AXIAL, (1.0, 1.0)).warnings == (
        "slices stand up to 3.0 mm beside the line from first to last",
    )
