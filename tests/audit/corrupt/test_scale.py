from __future__ import annotations

import numpy as np
import pytest
from tests.audit.corrupt.made_volumes import head, magnitude, picture

from insula.audit.corrupt.scale import display, limits, pixel_mm, stored, wide
from insula.core.types import Volume


def test_the_display_range_is_the_brain_window_the_full_scale_or_percentiles() -> None:
    assert [v.tolist() for v in display(head())] == [[0.0], [80.0]]
    assert [v.tolist() for v in display(picture(full=65535.0))] == [[0.0] * 3, [65535.0] * 3]
    mr = magnitude(channels=2)
    low, high = display(mr)
    inside = mr.array[1][mr.array[1] > mr.array[1].min()]
    assert (low[1], high[1]) == pytest.approx(tuple(np.percentile(inside, (1, 99))))
    flat = Volume(np.full((1, 1, 4, 4), 3.0, np.float32), np.eye(4), "a.u.", "MR", "made")
    assert [v.tolist() for v in display(flat)] == [[3.0], [3.0]]


def test_an_archive_stores_a_soft_tissue_window_the_full_scale_or_all_values() -> None:
    assert [v.tolist() for v in wide(head())] == [[-160.0], [240.0]]
    assert [v.tolist() for v in wide(picture())] == [[0.0] * 3, [255.0] * 3]
    mr = magnitude(channels=2)
    assert [v.tolist() for v in wide(mr)] == [[0.0, 0.0], mr.array.max(axis=(1, 2, 3)).tolist()]


def test_values_are_cut_at_what_can_be_stored_and_never_at_what_the_scan_holds() -> None:
    assert limits(head()) == (-1024.0, 3071.0)
    metal = head()
    metal.array[0, 0, 40, 40] = 15000.0
    metal.array[0, 0, 0, 0] = -2000.0
    assert limits(metal) == (-2000.0, 15000.0)
    assert limits(magnitude())[0] == 0.0
    cut = stored(picture(), np.array([[-1.0, 300.0]], np.float32))
    assert cut.tolist() == [[0.0, 255.0]]


def test_a_pixel_is_as_large_as_the_file_says_or_a_share_of_240_mm() -> None:
    oblong = Volume(head().array, np.diag([0.5, 0.8, 5.0, 1.0]), "HU", "CT", "made")
    assert pixel_mm(oblong) == (0.8, 0.5)
    assert pixel_mm(picture(120)) == (2.0, 2.0)
    assumed = Volume(
        head().array, oblong.affine, "HU", "CT", "m", warnings=("no pixel spacing in the header: 1 mm assumed",)
    )
    assert pixel_mm(assumed) == (2.5, 2.5)
    slide = Volume(picture(120).array, np.diag([0.002, 0.002, 1.0, 1.0]), "RGB", "SM", "made", full_scale=255.0)
    assert pixel_mm(slide) == (2.0, 2.0)
