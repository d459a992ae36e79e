from __future__ import annotations

import numpy as np
import pytest

from insula.infer.suitable_statistics import SLICES, of_bags, width


def head(size: int = 64, slices: int = 6, seed: int = 0) -> np.ndarray:
    """A bright ring around grey noise, darker above than below."""
    g = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    r = np.hypot(x, y * 0.9)
    inside = 0.45 + 0.1 * y + g.normal(0, 0.04, (slices, size, size))
    picture = np.where(r < 0.7, inside, np.where(r < 0.8, 1.0, 0.0))
    return np.clip(picture, 0, 1)[:, None].astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_there_are_as_many_numbers_as_it_says_and_all_are_finite(channels: int) -> None:
    found = of_bags([np.repeat(head(), channels, axis=1)])
    assert found.shape == (width(channels),)
    assert np.isfinite(found).all()


def test_the_numbers_are_what_they_are_called() -> None:
    x = np.zeros((2, 1, 64, 64), np.float32)
    x[:, :, :32] = 1.0
    found = of_bags([x])
    assert found[0] == pytest.approx(0.5)
    assert found[1] == pytest.approx(0.5)
    np.testing.assert_allclose(found[2:7], [0, 0, 0.5, 1, 1], atol=1e-6)
    assert found[7:9] == pytest.approx([0.5, 0.5])
    assert found[12] == 0.0  # left is right
    assert found[13] == pytest.approx(1.0)  # top is not bottom
    assert found[14] == pytest.approx(1.0)
    np.testing.assert_allclose(found[-36:].reshape(6, 6), np.repeat([[1.0], [0.0]], 3, axis=0) * np.ones(6), atol=1e-6)


def test_size_matters_little_and_orientation_and_noise_much() -> None:
    plain = of_bags([head(64)])
    larger = np.abs(of_bags([head(128, seed=1)]) - plain).max()
    turned = np.abs(of_bags([np.ascontiguousarray(head()[:, :, ::-1])]) - plain).max()
    noisy = np.abs(of_bags([np.clip(head() + np.random.default_rng(2).normal(0, 0.3, head().shape), 0, 1)]) - plain)
    assert larger < 0.06
    assert turned > 2 * larger
    assert noisy.max() > 2 * larger


def test_slices_are_chosen_evenly_over_all_bags() -> None:
    bags = [np.full((30, 1, 16, 16), 0.2, np.float32), np.full((10, 1, 16, 16), 0.6, np.float32)]
    wanted = np.linspace(0, 39, SLICES).round().astype(int)
    assert of_bags(bags)[0] == pytest.approx(np.where(wanted < 30, 0.2, 0.6).mean())
    assert of_bags([np.full((1, 1, 16, 16), 0.3, np.float32)])[0] == pytest.approx(0.3)


@pytest.mark.parametrize(("slices", "channels"), [(1, 1), (1, 3), (8, 1), (20, 3)])
def test_the_numbers_are_those_of_the_plain_formulas_on_which_scales_of_bundles_rest(
    slices: int, channels: int
) -> None:
    """Sums of float32 to the bit, those of float64 within 1e-12: however they are made cheaper."""
    drawn = np.random.default_rng(0).normal(0.4, 0.3, (slices, channels, 90, 70))
    x = np.clip(drawn, 0, 1).astype(np.float32)
    chosen = x[np.unique(np.linspace(0, slices - 1, SLICES).round().astype(int))]
    grey = chosen.mean(axis=1, dtype=np.float32)
    found, after = of_bags([x]), 2 * channels
    np.testing.assert_allclose(found[:channels], chosen.mean(axis=(0, 2, 3), dtype=np.float64), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[channels:after], chosen.std(axis=(0, 2, 3), dtype=np.float64), rtol=0, atol=1e-12)
    edges = [float(np.abs(np.diff(grey, axis=axis)).mean()) for axis in (1, 2)]
    assert found[after + 7] == sum(edges)
    assert found[after + 9] == np.abs(grey[:, :, 2:] - 2.0 * grey[:, :, 1:-1] + grey[:, :, :-2]).mean()
