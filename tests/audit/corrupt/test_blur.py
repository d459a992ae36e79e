from __future__ import annotations

import numpy as np
import pytest

from insula.audit.corrupt.blur import BLUR
from insula.core.types import Volume


def width(profile: np.ndarray, step: float) -> float:
    """Full width at half maximum, linear between samples."""
    half = profile.max() / 2
    above = np.flatnonzero(profile >= half)
    first, last = above[0], above[-1]
    left = first - (profile[first] - half) / (profile[first] - profile[first - 1])
    right = last + (profile[last] - half) / (profile[last] - profile[last + 1])
    return float(right - left) * step


@pytest.mark.parametrize("strength", [1.0, 2.0, 2.8, 5.0])
def test_a_point_becomes_as_wide_as_the_strength_says_in_both_directions(strength: float) -> None:
    array = np.zeros((1, 1, 121, 121), np.float32)
    array[0, 0, 60, 60] = 1000.0
    volume = Volume(array, np.diag([0.25, 0.5, 5.0, 1.0]), "HU", "CT", "made")
    found = BLUR(volume, strength, np.random.default_rng(0)).array[0, 0]
    assert width(found[60], 0.25) == pytest.approx(strength, rel=0.05)
    assert width(found[:, 60], 0.5) == pytest.approx(strength, rel=0.08)
    assert found.sum() == pytest.approx(1000.0, rel=1e-3)


def test_a_picture_without_a_size_and_a_slide_count_as_240_mm() -> None:
    array = np.zeros((3, 1, 120, 120), np.float32)
    array[:, 0, 60, 60] = 255.0
    eye, tiny = np.eye(4), np.diag([0.002, 0.002, 1.0, 1.0])
    for affine, modality in ((eye, ""), (tiny, "SM")):
        volume = Volume(array, affine, "RGB", modality, "made", full_scale=255.0)
        found = BLUR(volume, 10.0, np.random.default_rng(0)).array[1, 0]
        assert width(found[60], 2.0) == pytest.approx(10.0, rel=0.05)


def test_a_flat_scan_stays_flat_up_to_its_border() -> None:
    volume = Volume(np.full((1, 1, 40, 30), 7.0, np.float32), np.diag([1.0, 1.0, 1.0, 1.0]), "a.u.", "MR", "made")
    np.testing.assert_allclose(BLUR(volume, 5.0, np.random.default_rng(0)).array, 7.0, rtol=1e-5)
