from dataclasses import replace

import cv2
import numpy as np
import pytest

from insula.core.errors import UnsuitableScanError
from insula.core.types import Volume
from insula.prep.enhance import clahe, denoise, noise


def scan(array: np.ndarray, units: str = "a.u.") -> Volume:
    return Volume(array.astype(np.float32), np.diag([1.0, 1, 5, 1]), units, "CT", "made")  # type: ignore[arg-type]


def scene(size: int = 128) -> np.ndarray:
    """Smooth light and dark with a fine texture of low contrast."""
    y, x = np.mgrid[:size, :size] / size
    return np.asarray(0.15 + 0.6 * y * x + 0.02 * np.sin(60 * x) * np.cos(50 * y))


@pytest.mark.parametrize("limit", [1.5, 4.0])
def test_clahe_gives_what_opencv_gives_on_8_bits(limit: float) -> None:
    grey = np.round(scene(512) * 255).astype(np.uint8)
    ours = clahe(scan(grey[None, None] / 255), limit=limit, tiles=2).array[0, 0] * 255
    theirs = cv2.createCLAHE(limit, (2, 2)).apply(grey).astype(float)
    assert (theirs - ours).std() < 1.0
    assert 0 < (theirs - ours).mean() < limit + 0.5  # theirs maps all of a bin to its upper edge
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999


def test_clahe_keeps_steps_that_8_bits_would_lose_and_their_order() -> None:
    ramp = np.linspace(0.4, 0.41, 128 * 128).reshape(1, 1, 128, 128)
    out = clahe(scan(ramp), tiles=1).array[0, 0].ravel()
    assert (np.diff(out) >= 0).all()
    assert len(np.unique(out)) > 10_000


def test_clahe_raises_local_contrast() -> None:
    part = np.s_[0, 0, 40:80, 40:80]
    flat = scene()[None, None]
    gains = [clahe(scan(flat), limit=limit).array[part].std() / flat[part].std() for limit in (1.5, 3.0, 6.0)]
    assert 1.0 < gains[0] < gains[1] < gains[2]
    assert gains[2] > 1.5


@pytest.mark.parametrize("units", ["HU", "a.u."])
def test_clahe_refuses_values_that_are_not_scaled(units: str) -> None:
    with pytest.raises(UnsuitableScanError, match=r"clahe.*0 to 1"):
        clahe(scan(np.linspace(-100, 300, 256).reshape(1, 1, 16, 16), units))


def test_the_noise_of_a_picture_is_measured_through_its_edges() -> None:
    g = np.random.default_rng(1)
    picture = np.where(np.mgrid[:200, :200][0] > 60, 500.0, -1000.0) + g.normal(0, 6, (200, 200))
    assert noise(picture.astype(np.float32)) == pytest.approx(6, rel=0.1)


@pytest.mark.parametrize("method", ["bilateral", "nlm", "median"])
def test_denoising_takes_noise_away_and_keeps_edge_unit_and_hundredths(method: str) -> None:
    g = np.random.default_rng(2)
    clean = np.where(np.mgrid[:96, :96][1] > 48, 70.25, 30.5)[None, None]
    noisy = scan(clean + g.normal(0, 4, clean.shape), "HU")
    out = denoise(noisy, method=method)  # type: ignore[arg-type]
    assert out.units == "HU"
    left = out.array - clean
    assert left.std() < 0.6 * 4
    for side in (np.s_[..., 8:40], np.s_[..., 57:88]):
        assert out.array[side].mean() == pytest.approx(clean[side].mean(), abs=0.3)
    step = out.array[0, 0, 10:-10, 50].mean() - out.array[0, 0, 10:-10, 47].mean()
    assert step > 0.85 * 39.75
    assert len(np.unique(out.array)) > 500


def test_a_stated_strength_decides() -> None:
    g = np.random.default_rng(3)
    noisy = scan(g.normal(0, 4, (1, 1, 64, 64)))
    weak, strong = (denoise(noisy, strength=s).array.std() for s in (0.5, 40.0))
    assert strong < 0.5 * weak
    assert denoise(replace(noisy, array=np.full((1, 1, 64, 64), 7.0, np.float32)), method="nlm").array.min() == 7.0
