"""Pictures of slices never grow with a file's numbers, and volumes go out in blocks."""

from __future__ import annotations

import gzip
import io

import cv2
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from insula.core.errors import LimitError
from insula.serve import shown
from insula.serve.shown import Shown

pytestmark = pytest.mark.serve


def scan(rows: int, columns: int, across: float = 1.0, down: float = 1.0) -> Shown:
    values = np.arange(rows * columns, dtype=np.int16).reshape(1, rows, columns)
    return Shown(values, np.diag([across, down, 5.0, 1.0]), (40.0, 80.0))


def size(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


@pytest.mark.parametrize(
    ("across", "down", "wanted"),
    [
        (1.0, 1.0, (6, 4)),
        (2.0, 1.0, (12, 4)),
        (1.0, 16.0, (6, 64)),
        (16.1, 1.0, (6, 4)),
        (30.0, 0.002, (6, 4)),
        (1e-6, 1.0, (6, 4)),
    ],
)
def test_pixels_are_squared_where_their_sides_are_of_a_kind(
    across: float, down: float, wanted: tuple[int, int]
) -> None:
    one = scan(4, 6, across, down)
    assert size(shown.slice_png(one, 0)) == wanted
    assert bool(shown.unsquared(one.spacing)) == (wanted == (6, 4) and across != down)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(cv2, "resize", lambda *args, **_: asked.append(args))
    large = Shown(np.zeros((1, 2000, 1100), np.int16), np.diag([8.0, 1.0, 5.0, 1.0]), (40.0, 80.0))
    with pytest.raises(LimitError, match=r"8800 x 2000 pixels.*least"):
        shown.slice_png(large, 0)
    assert asked == []
    monkeypatch.undo()
    assert size(shown.slice_png(large, 0, least=550)) == (4400, 1000)


@pytest.mark.parametrize("colour", [False, True])
def test_a_volume_comes_in_blocks_and_is_the_same_packed(colour: bool) -> None:
    shape = (3, 700, 500, 3) if colour else (3, 700, 500)
    drawn = np.random.default_rng(3).integers(0, 200, shape)
    values = drawn.astype(np.uint8) if colour else drawn.astype(np.int16)
    one = Shown(values, np.diag([1.0, 1.0, 5.0, 1.0]), (40.0, 80.0))
    blocks = list(shown.nifti_blocks(one))
    assert max(map(len, blocks)) <= 1 << 20
    plain = b"".join(blocks)
    assert len(plain) == shown.nifti_size(one)
    assert gzip.decompress(shown.nifti(one)) == plain
    assert shown.nifti(one) == shown.nifti(one)
    back = np.asarray(nib.Nifti1Image.from_bytes(plain).dataobj)
    if colour:
        back = np.stack([back[name] for name in "RGB"], axis=-1)
    assert np.array_equal(np.moveaxis(back, (0, 2), (2, 0)), values)
