"""How often a JPEG's coded data go over its picture: each pass takes as long as the whole, however few bytes it has."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

from insula.core.errors import LimitError

MOST: Final = 100  # encoders make 1, of progressive pictures about 10
_SCAN: Final = b"\xff\xda"  # stands nowhere in coded data (T.81, B.1.1.5)


def check(path: Path) -> None:
    """Raises LimitError for a JPEG file of more passes than any encoder makes, before one is decoded."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if _too_many(data):
            raise LimitError(
                f"'{path.name}' goes over its picture more than {MOST} times; save it as an ordinary JPEG."
            )


def check_frame(frame: bytes, name: str) -> None:
    """As `check`, of a frame in memory. name: of the file it stands in."""
    if _too_many(frame):
        raise LimitError(f"'{name}' has a JPEG frame of more than {MOST} passes; export it again.")


def _too_many(data: bytes | mmap.mmap) -> bool:
    place = count = 0
    while count <= MOST and (place := data.find(_SCAN, place)) >= 0:
        place, count = place + len(_SCAN), count + 1
    return count > MOST
