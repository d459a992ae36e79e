from __future__ import annotations

import io
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image

from insula.cohort import shown
from insula.cohort.phantom.make import make
from insula.cohort.quality import Quality, measure
from insula.core.types import Units, Volume
from insula.scans.read import read

KINDS = ("haemorrhage-ct", "brain-tumour", "clot-origin")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Volume]:
    made = {}
    for kind, place in (
        ("haemorrhage-ct", "dicom/*"),
        ("brain-tumour", "nifti/*.nii.gz"),
        ("clot-origin", "pictures/*"),
    ):
        folder = make(kind, tmp_path_factory.mktemp(kind) / "made", 2, seed=4, size=128, slices=8)
        made[kind] = read(sorted(folder.glob(place))[0])
    return made


def _quality(volume: Volume) -> Quality:
    found = measure(volume, volume.array.shape[1] // 2)
    assert found is not None
    return found


def _span(volume: Volume) -> float:
    low, high = shown.scale(volume.array[:, volume.array.shape[1] // 2].mean(axis=0), volume)
    return high - low


def noisy(volume: Volume, amount: float) -> Volume:
    noise = np.random.default_rng(1).normal(0, amount * _span(volume), volume.array.shape[1:])
    return replace(volume, array=(volume.array + noise).astype(np.float32))


def blurred(volume: Volume, sigma: float) -> Volume:
    array = np.stack([[cv2.GaussianBlur(z, (0, 0), sigma) for z in channel] for channel in volume.array])
    return replace(volume, array=array)


@pytest.mark.parametrize("kind", KINDS)
def test_more_noise_is_measured_as_more_and_scores_lower(phantoms: dict[str, Volume], kind: str) -> None:
    steps = [_quality(noisy(phantoms[kind], amount)) for amount in (0.0, 0.03, 0.08, 0.2)]
    assert [s.noise for s in steps] == sorted({s.noise for s in steps})
    assert [s.score for s in steps] == sorted({s.score for s in steps}, reverse=True)


@pytest.mark.parametrize("kind", KINDS)
def test_more_blur_is_less_sharp_and_scores_lower(phantoms: dict[str, Volume], kind: str) -> None:
    steps = [_quality(blurred(phantoms[kind], sigma)) for sigma in (1.0, 1.5, 2.5, 4.0)]
    assert [s.sharpness for s in steps] == sorted({s.sharpness for s in steps}, reverse=True)
    assert [s.score for s in steps] == sorted({s.score for s in steps}, reverse=True)
    assert steps[0].sharpness < _quality(noisy(phantoms[kind], 0.0)).sharpness


def test_noise_is_in_hounsfield_units(phantoms: dict[str, Volume]) -> None:
    plain = phantoms["haemorrhage-ct"]
    own = _quality(plain).noise
    for planted in (5.0, 10.0, 20.0):
        assert _quality(noisy(plain, planted / 80)).noise == pytest.approx(np.hypot(own, planted), rel=0.2)


@cache
def _ramp() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    y, x = np.mgrid[0:96, 0:96].astype(np.float32)
    return np.asarray(60 + x + 0.5 * y, np.float32)[None, None]


def _volume(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]], units: Units = "a.u.") -> Volume:
    return Volume(array, np.eye(4), units, "", "made", full_scale=255.0)


def test_shading_is_no_noise_and_white_noise_is_all_noise() -> None:
    rng = np.random.default_rng(0)
    assert _quality(_volume(_ramp())).noise == pytest.approx(0.0, abs=1e-5)
    grainy = (_ramp() + rng.normal(0, 6, _ramp().shape)).astype(np.float32)
    assert _quality(_volume(grainy)).noise == pytest.approx(6 / 255, rel=0.1)
    assert _quality(_volume(grainy)).contrast == pytest.approx(_quality(_volume(_ramp())).contrast, rel=0.05)


def test_the_share_at_the_top_of_the_scale() -> None:
    array = _ramp().copy()
    array[..., :24, :] = 255.0
    assert _quality(_volume(array)).clipped == pytest.approx(0.25)
    assert _quality(_volume(_ramp())).clipped == 0.0


def test_nothing_to_look_at() -> None:
    assert measure(_volume(np.zeros((1, 1, 64, 64), np.float32)), 0) is None
    assert measure(replace(_volume(np.full((1, 1, 64, 64), -1000, np.float32), "HU"), full_scale=None), 0) is None


def _decoded(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_a_thumbnail_keeps_the_shape_of_the_head_and_its_colour() -> None:
    tall = Volume(np.full((1, 3, 40, 40), 40, np.float32), np.diag([1, 2, 1, 1]), "HU", "CT", "made")
    data = _decoded(shown.thumbnail(tall, 100))
    assert data.shape[:2] == (100, 50)
    array = np.zeros((3, 1, 30, 30), np.float32)
    array[0] = 255
    red = _decoded(shown.thumbnail(_volume(array, "RGB")))
    assert red[15, 15].argmax() == 0
