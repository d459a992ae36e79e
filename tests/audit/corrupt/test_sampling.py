from __future__ import annotations

import numpy as np
import pytest
from tests.audit.corrupt.made_volumes import head

from insula.audit.corrupt.sampling import RESAMPLE
from insula.core.types import Volume

RNG = np.random.default_rng(0)


def waves(period_mm: float, size: int = 240, pixel: float = 1.0) -> Volume:
    x = np.arange(size) * pixel
    array = np.broadcast_to(500 + 100 * np.sin(2 * np.pi * x / period_mm), (1, 1, size, size))
    return Volume(np.ascontiguousarray(array, np.float32), np.diag([pixel, pixel, 5.0, 1.0]), "a.u.", "MR", "made")


@pytest.mark.parametrize("strength", [2.0, 3.0, 5.0])
def test_waves_shorter_than_two_pixels_are_lost_and_longer_ones_kept(strength: float) -> None:
    lost = RESAMPLE(waves(1.5 * strength, pixel=0.5), strength, RNG).array
    long = waves(10 * strength, pixel=0.5)
    kept = RESAMPLE(long, strength, RNG).array
    assert lost[..., 20:-20].std() < 0.35 * 100 / np.sqrt(2)
    assert kept[..., 20:-20].std() > 0.85 * 100 / np.sqrt(2)
    assert kept.mean() == pytest.approx(long.array.mean(), abs=0.5)


def test_as_many_different_pixels_are_left_as_coarse_ones_fit() -> None:
    rng = np.random.default_rng(3)
    array = rng.random((1, 1, 120, 120)).astype(np.float32)
    volume = Volume(array, np.diag([0.5, 0.5, 5.0, 1.0]), "a.u.", "MR", "made")
    found = RESAMPLE(volume, 2.0, RNG).array[0, 0]
    assert np.linalg.matrix_rank(found, tol=1e-4) == 30  # 60 mm in pixels of 2 mm


def test_a_scan_of_coarse_pixels_stays_what_it_is() -> None:
    coarse = head(2, 64, 2.4)
    assert RESAMPLE(coarse, 2.0, RNG) is coarse
    assert RESAMPLE(coarse, 5.0, RNG) is not coarse
