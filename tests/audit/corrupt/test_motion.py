from __future__ import annotations

import numpy as np
import pytest
from tests.audit.corrupt.made_volumes import head, magnitude

from insula.audit.corrupt.motion import MOTION_CT, MOTION_MR, _measured, _move
from insula.core.types import Volume


def disc(pixel: float = 1.0, at: tuple[float, float] = (0.0, 0.0), size: int = 128) -> Volume:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    r = np.hypot(y * pixel - at[0], x * pixel - at[1])
    array = 100.0 / (1.0 + np.exp((r - 30 * pixel) / pixel))  # an edge that interpolation can follow
    return Volume(array[None, None].astype(np.float32), np.diag([pixel, pixel, 5.0, 1.0]), "a.u.", "MR", "made")


def centre(plane: np.ndarray, pixel: float) -> tuple[float, float]:
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    total = plane.sum()
    return float((plane * y).sum() / total) * pixel, float((plane * x).sum() / total) * pixel


@pytest.mark.parametrize("pixel", [0.5, 2.0])
def test_a_move_is_in_millimetres_and_degrees(pixel: float) -> None:
    volume = disc(pixel)
    everywhere = np.ones((128, 128))
    moved = _measured(volume, [(_move(volume, 4.0, 0.0, 0.0), everywhere)], 0.0, False).array[0, 0]
    y, x = centre(moved, pixel)
    still = centre(volume.array[0, 0], pixel)
    assert (y - still[0], x - still[1]) == pytest.approx((0.0, 4.0), abs=0.02)
    aside = disc(pixel, at=(0.0, 20.0 * pixel))
    turned = _measured(aside, [(_move(aside, 0.0, 0.0, 30.0), everywhere)], 0.0, False).array[0, 0]
    y, x = (c - (128 - 1) / 2 * pixel for c in centre(turned, pixel))
    assert np.hypot(y, x) == pytest.approx(20 * pixel, rel=0.02)
    assert abs(np.degrees(np.arctan2(y, x))) == pytest.approx(30.0, abs=0.7)


def test_voxels_that_are_no_squares_are_turned_without_shear() -> None:
    oblong = Volume(head().array, np.diag([1.0, 2.0, 5.0, 1.0]), "HU", "CT", "made")
    matrix = _move(oblong, 0.0, 0.0, 20.0)[:, :2]
    mm = np.diag([1.0, 2.0]) @ matrix @ np.diag([1.0, 0.5])
    np.testing.assert_allclose(mm @ mm.T, np.eye(2), atol=1e-12)


def test_k_space_of_mr_holds_the_head_at_rest_in_its_middle_and_another_place_in_its_outer_lines() -> None:
    grain = np.random.default_rng(0).normal(0, 100, (1, 1, 128, 128)).astype(np.float32)  # power in every line
    volume = Volume(grain, np.diag([1.0, 1.0, 5.0, 1.0]), "a.u.", "MR", "made")
    found = MOTION_MR(volume, 3.0, np.random.default_rng(2)).array[0, 0]
    before, after = np.fft.fft2(grain[0, 0]), np.fft.fft2(found)
    changed = np.abs(after - before) > 1e-3 * np.abs(before).mean()
    share = changed.mean(axis=1), changed.mean(axis=0)
    lines = max(share, key=np.std)
    k = np.abs(np.fft.fftfreq(128))
    assert lines[k < 0.04].max() < 0.05
    assert lines[k > 0.31].min() > 0.9
    smooth = disc()
    y, x = centre(MOTION_MR(smooth, 3.0, np.random.default_rng(2)).array[0, 0], 1.0)
    assert (y, x) == pytest.approx(centre(smooth.array[0, 0], 1.0), abs=0.3)


def test_a_magnitude_stays_one() -> None:
    found = MOTION_MR(magnitude(), 4.0, np.random.default_rng(0)).array
    assert found.min() >= 0.0


def test_projections_of_a_ct_show_the_head_at_rest_over_one_arc_and_elsewhere_over_another() -> None:
    grain = np.random.default_rng(0).normal(0, 100, (1, 1, 128, 128)).astype(np.float32)
    ct = Volume(grain, np.diag([1.0, 1.0, 5.0, 1.0]), "a.u.", "CT", "made")
    found = MOTION_CT(ct, 8.0, np.random.default_rng(4)).array[0, 0]
    before, after = np.fft.fft2(grain[0, 0]), np.fft.fft2(found)
    share = np.abs(after - before) > 1e-3 * np.abs(before).mean()
    f = np.fft.fftfreq(128)
    angle = np.degrees(np.arctan2(f[:, None], f[None, :])) % 180.0
    inner = (np.abs(f[:, None]) < 0.5) & (np.abs(f[None, :]) < 0.5)  # the outermost line has no partner
    moved = np.array([share[(angle >= a) & (angle < a + 5) & inner].mean() for a in range(0, 180, 5)])
    arc = (moved > 0.5).astype(int)
    assert 14 <= arc.sum() <= 32  # of 36: at rest for 15 to 55% of half a turn
    assert np.abs(np.diff(np.append(arc, arc[0]))).sum() == 2
    assert moved.min() < 0.02
    assert moved.max() > 0.98
    everywhere = _measured(ct, [(_move(ct, 0.0, 0.0, 0.0), np.ones((128, 128)))], 0.0, False).array
    np.testing.assert_allclose(everywhere, grain, atol=1e-2)


def test_at_no_strength_nothing_moves() -> None:
    for one, volume in ((MOTION_CT, head()), (MOTION_MR, magnitude())):
        np.testing.assert_allclose(one(volume, 0.0, np.random.default_rng(1)).array, volume.array, atol=0.02)
