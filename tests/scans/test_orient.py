from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from insula.scans.orient import to_lps


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_every_pose_comes_back_upright_and_no_voxel_moves(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    array = rng.random((2, 3, 4, 5)).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for axis in range(3):
        affine[order[axis], axis] = signs[axis] * (1.0 + axis)
    affine[:3, :3] += 0.05
    affine[:3, 3] = (7.0, -3.0, 11.0)
    turned, placed = to_lps(array, affine)
    assert (np.diag(placed)[:3] > 0).all()
    for _ in range(10):
        x, y, z = (int(rng.integers(n)) for n in turned.shape[:0:-1])
        where = placed @ (x, y, z, 1)
        back = np.linalg.solve(affine, where)
        i, j, k = np.rint(back[:3]).astype(int)
        np.testing.assert_allclose(back[:3], (i, j, k), atol=1e-9)
        assert (turned[:, z, y, x] == array[:, k, j, i]).all()


def test_one_sagittal_slice_keeps_its_plane() -> None:
    affine = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    array = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    turned, placed = to_lps(array, affine)
    assert turned.shape == (1, 1, 3, 4)
    assert (placed == affine).all()
