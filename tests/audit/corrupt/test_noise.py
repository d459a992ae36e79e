from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rice
from tests.audit.corrupt.made_volumes import head, magnitude, picture

from insula.audit.corrupt.noise import NOISE_CT, NOISE_MR, NOISE_PICTURE, SALT_PEPPER, noise_ct
from insula.core.types import Volume


def rng(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("strength", NOISE_CT.strengths)
@pytest.mark.parametrize("pixel", [0.45, 1.0, 2.4])
def test_noise_of_a_ct_has_its_standard_deviation_in_hu(strength: float, pixel: float) -> None:
    volume = replace(head(4, 128), array=np.full((1, 4, 128, 120), 40.0, np.float32))
    volume = replace(volume, affine=np.diag([pixel, pixel, 5.0, 1.0]))
    noise = NOISE_CT(volume, strength, rng()).array - 40.0
    assert noise.std() == pytest.approx(strength, rel=0.02)
    assert abs(noise.mean()) < 1e-3 * strength  # filtered back projection leaves none at frequency 0


def test_noise_of_a_ct_has_the_spectrum_of_filtered_back_projection() -> None:
    flat = Volume(np.zeros((1, 40, 128, 128), np.float32), np.diag([0.5, 0.5, 1.0, 1.0]), "HU", "CT", "made")
    noise = noise_ct(flat, 4.0, rng()).array[0]
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
    f = np.hypot(np.fft.fftfreq(128, 0.5)[:, None], np.fft.fftfreq(128, 0.5)[None, :])
    expected = f * np.exp(-4.0 * (np.pi * f / 2.3548) ** 2)
    ring = [(f > low) & (f <= low + 0.1) for low in np.arange(0.05, 0.85, 0.1)]
    measured = np.array([power[r].mean() for r in ring])
    wanted = np.array([expected[r].mean() for r in ring])
    np.testing.assert_allclose(measured / measured.sum(), wanted / wanted.sum(), rtol=0.06)
    neighbours = np.corrcoef(noise[:, :, :-1].ravel(), noise[:, :, 1:].ravel())[0, 1]
    assert neighbours > 0.3  # grain, not salt
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("strength", NOISE_MR.strengths)
def test_noise_of_a_magnitude_is_rician(strength: float) -> None:
    array = np.zeros((1, 2, 200, 200), np.float32)
    array[:, :, :, 80:] = 600.0
    array[:, :, :, 190:] = np.linspace(1, 1000, 10)  # so that the display range is not one value
    volume = Volume(array, np.eye(4), "a.u.", "MR", "made")
    low, high = np.percentile(array[array > 0], (1, 99))
    sigma = strength * (high - low)
    found = NOISE_MR(volume, strength, rng()).array
    air, tissue = found[:, :, :, :80], found[:, :, :, 80:190]
    assert air.min() >= 0.0
    assert air.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.02)  # Rayleigh
    mean, spread = np.hypot(600.0, sigma), sigma  # what Rice's distribution comes to far from 0
    if sigma > 20.0:
        reference = rice(600.0 / sigma, scale=sigma)
        mean, spread = reference.mean(), reference.std()
    assert tissue.mean() == pytest.approx(mean, rel=0.005)
    assert tissue.std() == pytest.approx(spread, rel=0.02)


def test_noise_of_a_scan_with_negative_values_has_no_bias() -> None:
    volume = magnitude()
    signed = replace(volume, array=volume.array - 300.0)
    difference = NOISE_MR(signed, 0.05, rng()).array - signed.array
    inside = volume.array[volume.array > 0]
    low, high = np.percentile(inside, (1, 99))
    assert abs(difference.mean()) < 1.0
    assert difference.std() == pytest.approx(0.05 * (high - low), rel=0.02)


def test_noise_of_a_picture_is_a_share_of_its_full_scale_and_differs_between_channels() -> None:
    grey = replace(picture(200), array=np.full((3, 1, 200, 200), 128.0, np.float32))
    found = NOISE_PICTURE(grey, 0.05, rng()).array - 128.0
    assert found.std() == pytest.approx(0.05 * 255, rel=0.02)
    assert abs(np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("strength", SALT_PEPPER.strengths)
def test_salt_and_pepper_hit_their_share_of_the_pixels_in_all_channels(strength: float) -> None:
    grey = replace(picture(200), array=np.full((3, 2, 200, 200), 128.0, np.float32))
    found = SALT_PEPPER(grey, strength, rng()).array
    white, black = (found == 255).all(axis=0), (found == 0).all(axis=0)
    count = 2 * 200 * 200
    assert white.sum() + black.sum() == round(strength * count)
    assert abs(int(white.sum()) - int(black.sum())) <= 1
    assert ((found == 128).all(axis=0) | white | black).all()


def test_salt_and_pepper_are_the_ends_of_12_bits_in_hu_and_those_of_the_channel_without_bits() -> None:
    ct = SALT_PEPPER(head(), 0.05, rng()).array
    assert (ct.min(), ct.max()) == (-1024.0, 3071.0)
    mr = magnitude(channels=2)
    found = SALT_PEPPER(mr, 0.05, rng()).array
    assert found.max(axis=(1, 2, 3)).tolist() == mr.array.max(axis=(1, 2, 3)).tolist()
    assert (found[1] != mr.array[1]).sum() > (found[0] != mr.array[0]).sum() * 0.9
