from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.audit.corrupt.made_volumes import head, magnitude, picture

from insula.audit.corrupt.compression import JPEG, encoded
from insula.core.types import Volume

RNG = np.random.default_rng(0)


def psnr(before: np.ndarray, after: np.ndarray, full: float) -> float:
    return float(10 * np.log10(full**2 / np.square(before - after).mean()))


def noisy() -> Volume:
    shown = picture(128)
    noise = np.random.default_rng(1).normal(0, 12, shown.array.shape)
    return replace(shown, array=np.clip(np.rint(shown.array + noise), 0, 255).astype(np.float32))


@pytest.mark.parametrize("strength", JPEG.strengths)
def test_a_grey_slice_is_what_another_reader_finds_in_the_file(strength: float) -> None:
    ct = head(1, 96)
    found = JPEG(ct, strength, RNG).array[0, 0]
    levels = np.rint((np.clip(ct.array[0, 0], -160, 240) + 160) * 255 / 400).astype(np.uint8)
    file = encoded(levels, round(100 - strength)).tobytes()
    with Image.open(io.BytesIO(file)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (96, 96))
        read = np.asarray(image, np.float32)
    excess = ct.array[0, 0] - np.clip(ct.array[0, 0], -160, 240)
    assert np.abs(read * 400 / 255 - 160 + excess - found).max() <= 2 * 400 / 255  # decoders round differently


def test_the_file_has_the_quantisation_table_of_its_quality() -> None:
    grey = picture(64, "a.u.").array[0, 0].astype(np.uint8)
    for quality in (90, 75, 50):
        with Image.open(io.BytesIO(encoded(grey, quality).tobytes())) as mine:
            table = list(mine.quantization[0])  # type: ignore[attr-defined]
        other = io.BytesIO()
        Image.fromarray(grey).save(other, "JPEG", quality=quality)
        with Image.open(io.BytesIO(other.getvalue())) as theirs:
            assert table == list(theirs.quantization[0])  # type: ignore[attr-defined]


def test_colours_keep_their_order_and_lose_resolution_as_encoders_do_by_default() -> None:
    shown = noisy()
    found = JPEG(shown, 25.0, RNG).array
    buffer = io.BytesIO()
    Image.fromarray(shown.array[:, 0].transpose(1, 2, 0).astype(np.uint8)).save(buffer, "JPEG", quality=75)
    with Image.open(io.BytesIO(buffer.getvalue())) as image:
        read = np.asarray(image, np.float32).transpose(2, 0, 1)
    assert np.abs(read - found[:, 0]).mean() < 1.0
    assert psnr(shown.array, found, 255.0) < 32


def test_quality_falls_with_the_grade_and_air_and_bone_stay() -> None:
    ct = head()
    noise = np.random.default_rng(2).normal(0, 4, ct.array.shape).astype(np.float32)
    ct = replace(ct, array=ct.array + noise)
    shown = [
        psnr(np.clip(ct.array, -160, 240), np.clip(JPEG(ct, s, RNG).array, -160, 240), 400) for s in JPEG.strengths
    ]
    assert np.all(np.diff(shown) < 0), shown
    assert shown[0] > 40 > shown[4]
    # bone and air keep what they have beyond the window; only its 400 HU can be wrong
    found = JPEG(ct, 90.0, RNG).array
    assert np.abs(found - ct.array)[ct.array > 1000].max() < 400
    assert np.abs(found - ct.array)[ct.array < -900].max() < 400


def test_8_bits_alone_cost_less_than_a_step_and_channels_have_their_own_range() -> None:
    mr = magnitude(2, 64, channels=2)
    found = JPEG(mr, 10.0, RNG).array
    for c in range(2):
        assert psnr(mr.array[c], found[c], float(mr.array[c].max())) > 30
    flat = replace(mr, array=np.full_like(mr.array, 5.0))
    np.testing.assert_allclose(JPEG(flat, 50.0, RNG).array, 5.0)
