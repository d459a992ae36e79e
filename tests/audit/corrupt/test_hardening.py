from __future__ import annotations

import numpy as np
import pytest
from tests.audit.corrupt.made_volumes import head

from insula.audit.corrupt.hardening import CUPPING, STREAKS
from insula.core.types import Volume


def cylinder(radius: float = 80.0, pixel: float = 1.0, at: tuple[int, int] = (5, -7)) -> tuple[Volume, np.ndarray]:
    y, x = np.mgrid[:200, :200] - 99.5
    r = np.hypot(y - at[0], x - at[1]) * pixel
    array = np.where(r < radius, 20.0, -1000.0)
    volume = Volume(np.stack([array] * 2)[None].astype(np.float32), np.diag([pixel, pixel, 5.0, 1.0]), "HU", "CT", "m")
    return volume, r


@pytest.mark.parametrize("strength", CUPPING.strengths)
def test_cupping_takes_its_hu_in_the_middle_and_none_at_the_rim(strength: float) -> None:
    volume, r = cylinder()
    sunk = (volume.array - CUPPING(volume, strength, np.random.default_rng(0)).array)[0, 1]
    assert sunk[r < 2].mean() == pytest.approx(strength, rel=0.01)
    assert sunk[(r > 81)].max() < 0.1 * strength
    half = (r > 39.5) & (r < 40.5)
    assert sunk[half].mean() == pytest.approx(strength * np.sqrt(0.75), rel=0.01)


def test_cupping_is_what_an_error_of_the_chord_squared_leaves_in_a_cylinder() -> None:
    volume, _ = cylinder(at=(0, 0))
    sunk = (volume.array - CUPPING(volume, 10.0, np.random.default_rng(0)).array)[0, 0]
    projected = sunk.sum(axis=0)  # along y, in HU·mm
    s = np.arange(200) - 99.5
    chord = 2 * np.sqrt(np.clip(80.0**2 - s**2, 0, None))
    inside = np.abs(s) < 75
    ratio = projected[inside] / chord[inside] ** 2
    assert ratio.std() / ratio.mean() < 0.01
    assert ratio.mean() == pytest.approx(10.0 * np.pi / 8 / 80, rel=0.02)


@pytest.mark.parametrize("strength", STREAKS.strengths)
def test_streaks_have_their_height_at_a_dense_point_and_fall_to_half_at_30_mm(strength: float) -> None:
    volume = head(4, 192, 1.2)
    found = STREAKS(volume, strength, np.random.default_rng(6)).array - volume.array
    assert np.abs(found).max() <= strength * 1.001
    for z in range(4):
        plane = np.abs(found[0, z])
        assert plane.max() > 0.5 * strength
        peak = np.unravel_index(plane.argmax(), plane.shape)
        assert volume.array[0, z][max(0, peak[0] - 6) : peak[0] + 7, max(0, peak[1] - 6) : peak[1] + 7].max() > 700
    assert found.max() > 0 > found.min()
    assert not np.array_equal(found[0, 0], found[0, 1])


def test_without_bone_streaks_start_at_the_brightest_point_and_without_a_head_cupping_is_in_the_middle() -> None:
    volume, _ = cylinder()
    volume.array[0, :, 60, 70] = 400.0
    found = np.abs(STREAKS(volume, 20.0, np.random.default_rng(0)).array - volume.array)[0, 0]
    y, x = np.mgrid[:200, :200]
    r = np.hypot(y - 60, x - 70)
    assert found[(r > 28) & (r < 32)].max() <= 10.6
    assert found[(r > 58) & (r < 62)].max() <= 7.0
    air = Volume(np.full((1, 1, 41, 41), -1000.0, np.float32), np.eye(4), "HU", "CT", "made")
    sunk = air.array - CUPPING(air, 10.0, np.random.default_rng(0)).array
    assert np.unravel_index(sunk[0, 0].argmax(), (41, 41)) == (20, 20)
