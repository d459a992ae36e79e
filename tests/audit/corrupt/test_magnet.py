from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.audit.corrupt.made_volumes import magnitude

from insula.audit.corrupt.magnet import BIAS_FIELD, GHOSTING
from insula.core.types import Volume


@pytest.mark.parametrize("strength", BIAS_FIELD.strengths)
@pytest.mark.parametrize("shape", [(1, 6, 60, 50), (2, 1, 40, 40)])
def test_the_gain_runs_over_the_range_that_the_strength_says(strength: float, shape: tuple[int, ...]) -> None:
    volume = Volume(np.full(shape, 100.0, np.float32), np.eye(4), "a.u.", "MR", "made")
    gain = BIAS_FIELD(volume, strength, np.random.default_rng(3)).array / 100.0
    assert (gain.min(), gain.max()) == pytest.approx((1 - strength / 2, 1 + strength / 2), abs=1e-5)
    assert np.abs(np.diff(gain, axis=3)).max() < strength / 4  # smooth
    assert np.array_equal(gain[0], gain[-1])  # the same in every channel


def test_its_everyday_range_is_what_a_head_coil_at_1_5_tesla_may_have() -> None:
    half = BIAS_FIELD.strength(BIAS_FIELD.everyday) / 2
    uniformity = 100 * (1 - ((1 + half) - (1 - half)) / 2)
    assert uniformity >= 87.5


@pytest.mark.parametrize("strength", GHOSTING.strengths)
@pytest.mark.parametrize("seed", range(6))
def test_the_ghosting_ratio_of_a_phantom_is_the_strength(strength: float, seed: int) -> None:
    size = 256
    y, x = np.mgrid[:size, :size] - size / 2
    array = np.where(np.hypot(y, x) < 60, 1000.0, 0.0).astype(np.float32)[None, None]
    volume = Volume(array, np.eye(4), "a.u.", "MR", "made")
    found = GHOSTING(volume, strength, np.random.default_rng(seed)).array[0, 0]
    signal, strip = 1000.0, (np.abs(np.arange(size) - size // 2) < 8)
    beside = (np.abs(np.arange(size) - size // 2) > 64) & (np.abs(np.arange(size) - size // 2) < 84)
    upright, level = found[np.ix_(beside, strip)].mean(), found[np.ix_(strip, beside)].mean()
    # ACR: |(top + bottom) − (left + right)| / (2 · signal)
    assert abs(2 * upright - 2 * level) / (2 * signal) == pytest.approx(strength, rel=1e-4)
    assert found[np.hypot(y, x) < 60].min() >= signal


def test_a_ghost_is_a_copy_of_the_picture() -> None:
    volume = magnitude()
    extra = GHOSTING(volume, 0.1, np.random.default_rng(1)).array - volume.array
    assert extra.sum(dtype=np.float64) == pytest.approx(0.2 * volume.array.sum(dtype=np.float64), rel=1e-4)
    weaker = GHOSTING(replace(volume, array=volume.array * np.float32(0.5)), 0.1, np.random.default_rng(1)).array
    np.testing.assert_allclose(weaker, (volume.array + extra) / 2, rtol=1e-5)
