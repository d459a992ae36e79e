from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from tests.prep.made_heads import made_head

from insula.core.errors import UnsuitableScanError
from insula.core.types import Volume
from insula.prep.head import crop_to_head, head_mask


def test_the_crop_holds_the_whole_head_and_leaves_the_headrest_out() -> None:
    made = made_head(4, size=128, slices=10)
    array = made.volume.array.copy()
    array[0, :, :, 2] = 100.0  # a strap at the picture's border
    out = crop_to_head(replace(made.volume, array=array), margin=0.0)
    _, z, y, x = out.array.shape
    assert z == 10
    assert y < 128
    assert x < 126
    left, top = (np.linalg.inv(made.volume.affine) @ out.affine[:, 3])[:2].round().astype(int)
    np.testing.assert_array_equal(out.array, array[:, :, top : top + y, left : left + x])
    for cut in (
        made.inside[:, :top],
        made.inside[:, top + y :],
        made.inside[:, :, :left],
        made.inside[:, :, left + x :],
    ):
        assert not cut.any()
    wide = crop_to_head(made.volume, margin=10.0)
    assert wide.array.shape[2] > y


def test_a_picture_without_units_is_cropped_to_what_stands_out() -> None:
    array = np.random.default_rng(0).normal(10, 2, (1, 3, 60, 80))
    array[0, 1, 20:45, 30:70] = 200.0
    scan = Volume(array.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]), "a.u.", "MR", "made")
    out = crop_to_head(scan, margin=0.0)
    assert out.array.shape == (1, 3, 25, 40)
    np.testing.assert_allclose(out.affine @ [0, 0, 0, 1], scan.affine @ [30, 20, 0, 1])


def test_the_threshold_is_the_one_of_least_variance_within_both_sides() -> None:
    values = make_blobs(4000, 1, centers=[[20.0], [90.0]], cluster_std=8.0, random_state=0)[0].astype(np.float32)
    scan = Volume(values.reshape(1, 1, 40, 100).repeat(8, 2).repeat(8, 3), np.eye(4), "a.u.", "MR", "made")
    inside = head_mask(replace(scan, affine=np.diag([4.0, 4.0, 1.0, 1.0])))  # things of one voxel are kept
    kept = scan.array[0][inside]
    assert kept.min() > 45
    assert kept.min() < 70


def test_a_scan_without_contrast_is_refused() -> None:
    with pytest.raises(UnsuitableScanError, match="crop_to_head"):
        crop_to_head(Volume(np.full((1, 2, 16, 16), 3.0, np.float32), np.eye(4), "a.u.", "MR", "made"))
