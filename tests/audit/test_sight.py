from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, generate_binary_structure, iterate_structure
from tests.audit.made_looks import head

from insula.audit.sight import Sight, pixels, shrunk, wider
from insula.prep.brain import brain_mask


def test_a_ct_has_a_head_a_brain_and_grey_from_air_to_bone() -> None:
    volume = head(0)
    on = Sight(volume)
    assert on.head is not None
    assert on.brain is not None
    at = np.hypot(*(np.mgrid[:64, :64] - 31.5)) * 3.0
    assert on.head[:, at < 62].all()
    assert not on.head[:, at > 72].any()
    assert np.array_equal(on.brain, brain_mask(volume))
    assert on.inside is on.brain
    assert on.shown.min() == 0.0
    assert abs(on.shown[0, 31, 31] - 1035 / 2500) < 0.01


def test_the_inside_of_a_head_without_a_brain_is_the_head_without_its_rim() -> None:
    volume = replace(head(0), units="a.u.", modality="MR", array=head(0).array + 1000)
    on = Sight(volume)
    assert on.brain is None
    assert on.head is not None
    assert on.inside is not None
    assert np.array_equal(on.inside, shrunk(on.head, volume, 5.0))
    assert on.inside.sum() < on.head.sum()


def test_where_nothing_stands_out_there_is_neither_head_nor_inside() -> None:
    on = Sight(replace(head(0), array=np.full((1, 2, 32, 32), -1000.0, np.float32)))
    assert (on.head, on.brain, on.inside) == (None, None, None)


def test_masks_grow_and_shrink_in_each_slice_alone() -> None:
    mask = np.zeros((3, 21, 21), bool)
    mask[1, 6:15, 6:15] = True
    square = iterate_structure(generate_binary_structure(2, 2), 2)
    grown = wider(mask, 2)
    assert not grown[[0, 2]].any()
    assert (grown[1] <= binary_dilation(mask[1], square)).all()
    assert (grown[1] >= binary_dilation(mask[1], iterate_structure(generate_binary_structure(2, 1), 2))).all()
    volume = replace(head(0), affine=np.eye(4), array=np.zeros((1, 3, 21, 21), np.float32))
    assert np.array_equal(shrunk(mask, volume, 2.0)[1], binary_erosion(mask[1], square))
    assert shrunk(np.ones((1, 9, 9), bool), volume, 2.0).all()  # what reaches the edge goes on beyond it
    assert not wider(np.zeros((1, 9, 9), bool), 3).any()


def test_millimetres_are_at_least_one_pixel_and_no_more_than_the_slice() -> None:
    volume = head(0)
    assert [pixels(volume, mm) for mm in (0.1, 3.0, 9.0, 1e6)] == [1, 1, 3, 64]
