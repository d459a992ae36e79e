"""Rows of pixels that a picture's header does not count: whoever lowers the height in it cuts a picture unseen.

A PNG tells by its length once inflated. The coded data of a JPEG have no length that could be compared, but where the
last bytes before the end are changed and no pixel with them, they belong to no row that was shown.
"""

from __future__ import annotations

import io
import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from insula.core.errors import ScanError
from insula.scans import behind

_PNG, _BLOCK = 8, 1 << 20
_VALUES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # values a pixel by colour type (PNG, 11.2.1)
# x and y of the first pixel, and the steps, of the seven passes of an interlaced picture (PNG, 8.2)
_ADAM7: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_TAIL: Final = 32  # bytes before a JPEG's end that are changed
_LEAST: Final = 4 * _TAIL  # bytes of coded data; a picture of fewer has hardly a row to hide
_TRIES: Final = 16  # ways to change them, since black may stay black under one


def check(image: Image.Image, path: Path) -> None:
    """Raises ScanError where a picture, which Pillow has decoded, holds rows beyond the height of its header."""
    hidden = False
    if image.format in ("PNG", "JPEG"):
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            hidden = _png(data) if image.format == "PNG" else _jpeg(data, image)
    if hidden:
        raise ScanError(
            f"'{path.name}' holds more rows of pixels than the {image.height} of its header; export it again."
        )


def _png(data: mmap.mmap) -> bool:
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    bits = data[24] * _VALUES.get(data[25], 1)

    def row(columns: int) -> int:
        return 1 + (columns * bits + 7) // 8 if columns else 0

    if data[28]:
        wanted = sum(-(-(height - y) // down) * row(-(-(width - x) // right)) for x, y, right, down in _ADAM7)
    else:
        wanted = height * row(width)
    left, inflating = wanted + row(width), zlib.decompressobj()
    for packed in _chunks(data, b"IDAT"):
        while packed and left > 0 and not inflating.eof:
            left -= len(inflating.decompress(packed, min(left, _BLOCK)))
            packed = inflating.unconsumed_tail
    return left <= 0


def _chunks(data: mmap.mmap, kind: bytes) -> Iterator[bytes]:
    place = _PNG
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == kind:
            yield data[place + 8 : place + 8 + size]
        place += 12 + size


def _jpeg(data: mmap.mmap, image: Image.Image) -> bool:
    end = behind.jpeg_end(data) - 2
    start = data.rfind(b"\xff\xda", 0, max(end, 0))
    if start < 0 or end - start < _LEAST:
        return False
    whole = data[:end].rstrip(b"\0\xff")  # some cameras fill the end up
    at = len(whole) - _TAIL
    at += whole[at - 1] == 0xFF  # a byte after FF would make a marker of both
    shown, draw = np.asarray(image), np.random.default_rng(0)
    for _ in range(_TRIES):
        other = draw.integers(0, 0xFF, len(whole) - at, np.uint8).tobytes()
        if _differs(whole[:at] + other + b"\xff\xd9", shown):
            return False
    return True


def _differs(changed: bytes, shown: NDArray[np.generic]) -> bool:
    try:
        with Image.open(io.BytesIO(changed), formats=("JPEG",)) as other:
            return not np.array_equal(np.asarray(other), shown)
    except Exception:  # noqa: BLE001 - whatever Pillow raises, the bytes counted
        return True
