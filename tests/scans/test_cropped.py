"""Pictures whose height was lowered in the header, and pictures whose header is true."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from insula.core.errors import LimitError, ScanError
from insula.scans.jpeg_scans import MOST
from insula.scans.pictures import read

HEIGHT, LOWER = 96, 64


def noise(*more: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (HEIGHT, 80, *more), np.uint8)


def dark(*more: int) -> NDArray[np.uint8]:
    """A bright half above a black one: changed bytes at the end may well leave black what is black."""
    made = np.zeros((HEIGHT, 80, *more), np.uint8)
    made[: HEIGHT // 2] = noise(*more)[: HEIGHT // 2]
    return made


def jpeg(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **options)
    return stream.getvalue()


def png(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def lower_jpeg(data: bytes) -> bytes:
    at = next(at for at in (data.find(bytes((0xFF, kind))) for kind in (0xC0, 0xC2)) if at > 0)
    return data[: at + 5] + struct.pack(">H", LOWER) + data[at + 7 :]


def lower_png(data: bytes) -> bytes:
    head = data[12:20] + struct.pack(">I", LOWER) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


def interlaced(pixels: NDArray[np.uint8]) -> bytes:
    """A grey PNG in seven passes, which Pillow reads and does not write."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = (row for x, y, right, down in passes for row in pixels[y::down, x::right])
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


CASES: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "grey.jpg": (jpeg(noise()), lower_jpeg),
    "colour.jpg": (jpeg(noise(3)), lower_jpeg),
    "progressive.jpg": (jpeg(noise(3), progressive=True), lower_jpeg),
    "dark.jpg": (jpeg(dark(3)), lower_jpeg),
    "grey.png": (png(noise()), lower_png),
    "colour.png": (png(noise(3)), lower_png),
    "palette.png": (png(np.asarray(noise() // 64)), lower_png),
    "interlaced.png": (interlaced(noise()), lower_png),
}


@pytest.mark.parametrize("name", CASES)
def test_rows_that_the_header_does_not_count_are_refused(name: str, tmp_path: Path) -> None:
    whole, lower = CASES[name]
    path = tmp_path / name
    path.write_bytes(whole)
    assert read(path).array.shape[-2] == HEIGHT
    path.write_bytes(lower(whole))
    if name == "interlaced.png":  # of fewer rows the passes have other lengths, and the rest goes on as before
        with pytest.raises(ScanError):
            read(path)
        return
    with pytest.raises(ScanError, match=f"more rows of pixels than the {LOWER}"):
        read(path)


@pytest.mark.parametrize("quality", [20, 75, 98])
@pytest.mark.parametrize("shape", [(8, 9), (17, 33), (64, 1), (70, 70)])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_true_header_is_believed_whatever_the_picture_ends_with(
    quality: int, shape: tuple[int, int], progressive: bool, tmp_path: Path
) -> None:
    draw, path = np.random.default_rng(0), tmp_path / "a.jpg"
    for low, high in ((0, 1), (0, 256), (255, 256), (0, 3)):
        for more in ((), (3,)):
            pixels = draw.integers(low, high, (*shape, *more), np.uint8)
            pixels[: shape[0] // 2] = draw.integers(0, 256, pixels[: shape[0] // 2].shape, np.uint8)
            path.write_bytes(jpeg(pixels, quality=quality, progressive=progressive))
            assert read(path).array.shape[-2:] == shape


def test_a_jpeg_of_more_passes_than_any_encoder_makes_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    whole = jpeg(noise(), progressive=True)
    first = whole.find(b"\xff\xda")
    end = first + 2
    while whole[end] != 0xFF or whole[end + 1] in (0x00, *range(0xD0, 0xD8)):
        end += 1
    path = tmp_path / "passes.jpg"
    path.write_bytes(whole[:first] + whole[first:end] * (MOST + 1) + whole[end:])
    with pytest.raises(LimitError, match="more than 100 times"):
        read(path)
