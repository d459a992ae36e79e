"""What the directories of a TIFF say, without decoding a pixel: enough to tell a whole slide from a picture.

Classic TIFF (Adobe, TIFF 6.0, section 2) and BigTIFF, both byte orders, and Hamamatsu's NDPI, whose first directory may
lie beyond 4 GB.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from insula.core.errors import LimitError, ScanError

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DIRECTORIES = 16  # a pyramid shows itself in the first few
_ENTRIES = 4096
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}
_WIDTH, _HEIGHT, _SUBFILE, _DESCRIPTION, _TILE_WIDTH, _SUB_IFDS, _NDPI = 256, 257, 254, 270, 322, 330, 65420


@dataclass(frozen=True)
class Directory:
    """One picture of a TIFF. reduced: marked as a smaller copy of another; levels: how many smaller copies it names."""

    width: int
    height: int
    tiled: bool
    reduced: bool
    levels: int
    ndpi: bool
    description: bytes


def directories(path: Path) -> tuple[Directory, ...]:
    """The first directories of a TIFF, as far as they can be read; none when the file is no TIFF or is damaged."""
    with path.open("rb") as stream:
        start = stream.read(16)
        if not start.startswith(MAGIC):
            return ()
        order = "<" if start[:2] == b"II" else ">"
        if start[2:4] in (b"+\0", b"\0+"):
            return _chain(stream, order, _number(start, order + "Q", 8), big=True)
        found = _chain(stream, order, _number(start, order + "I", 4), big=False)
        return found or _chain(stream, order, _number(start, order + "Q", 4), big=False)[:1]


def is_slide(path: Path, most_pixels: int) -> bool:
    """Whether a TIFF is a whole slide: an NDPI or Aperio file, a tiled picture with smaller copies of itself, or one of
    more pixels than a picture may have. Multi-page stacks and camera pictures with a thumbnail are none.
    """
    found = directories(path)
    if not found:
        return False
    first = found[0]
    if first.ndpi or first.description.startswith(b"Aperio") or first.width * first.height > most_pixels:
        return True
    return first.tiled and (first.levels > 0 or any(_smaller_copy(first, other) for other in found[1:]))


def _smaller_copy(first: Directory, other: Directory) -> bool:
    """Tiled, smaller, and of the same shape within a pixel's rounding (vendors round the sides of levels down)."""
    if not other.tiled or other.width >= first.width or other.height >= first.height or not other.height:
        return False
    across, down = first.width / other.width, first.height / other.height
    return other.reduced or abs(across - down) <= 0.02 * across + across / other.width + down / other.height


def _chain(stream: BinaryIO, order: str, offset: int, big: bool) -> tuple[Directory, ...]:
    found: list[Directory] = []
    seen: set[int] = set()
    while offset and offset not in seen and len(found) < _DIRECTORIES:
        seen.add(offset)
        tags, offset = _tags(stream, order, offset, big)
        if _WIDTH not in tags or _HEIGHT not in tags:
            break
        found.append(
            Directory(
                width=int(tags[_WIDTH][1]),
                height=int(tags[_HEIGHT][1]),
                tiled=_TILE_WIDTH in tags,
                reduced=_SUBFILE in tags and bool(tags[_SUBFILE][1] & 1),
                levels=tags[_SUB_IFDS][0] if _SUB_IFDS in tags else 0,
                ndpi=_NDPI in tags,
                description=_text(stream, tags[_DESCRIPTION]) if _DESCRIPTION in tags else b"",
            )
        )
    return tuple(found)


def _tags(stream: BinaryIO, order: str, offset: int, big: bool) -> tuple[dict[int, tuple[int, int]], int]:
    """Tag → (count, value, or the place where the values lie), and the offset of the next directory."""
    _go_to(stream, offset)
    count = _number(stream.read(8 if big else 2), order + ("Q" if big else "H"), 0)
    size = 20 if big else 12
    block = stream.read(count * size + (8 if big else 4)) if count <= _ENTRIES else b""
    tags: dict[int, tuple[int, int]] = {}
    for i in range(min(count, len(block) // size)):
        entry = block[i * size : (i + 1) * size]
        tag, kind = struct.unpack(order + "HH", entry[:4])
        many = _number(entry, order + ("Q" if big else "I"), 4)
        value = entry[12:] if big else entry[8:]
        length = _SIZES.get(kind, 0) * many
        code = {1: "B", 2: "H", 4: "I", 8: "Q"}.get(_SIZES.get(kind, 0), "I") if 0 < length <= len(value) else "I"
        if kind == 2 or length > len(value):
            code = "Q" if big else "I"
        tags[tag] = (many, _number(value, order + code, 0))
    return tags, _number(block, order + ("Q" if big else "I"), count * size)


def _text(stream: BinaryIO, entry: tuple[int, int]) -> bytes:
    if entry[0] <= 8:
        return b""
    _go_to(stream, entry[1])
    return stream.read(min(entry[0], 64))


def _go_to(stream: BinaryIO, offset: int) -> None:
    """To a place in the file, or to its end for one behind it: far behind it `seek` fails, depending on the disk."""
    stream.seek(min(offset, stream.seek(0, 2)))


def _number(data: bytes, code: str, at: int) -> int:
    size = struct.calcsize(code)
    return int(struct.unpack(code, data[at : at + size])[0]) if len(data) >= at + size else 0


def pages(path: Path, most: int) -> int:
    """How many directories follow one another in a TIFF; LimitError beyond `most`, ScanError for a chain that runs in
    a circle or out of the file.
    """
    with path.open("rb") as stream:
        start = stream.read(16)
        order = "<" if start[:2] == b"II" else ">"
        big = start[2:4] in (b"+\0", b"\0+")
        offset = _number(start, order + ("Q" if big else "I"), 8 if big else 4)
        length = path.stat().st_size
        seen: set[int] = set()
        while offset:
            if offset in seen or offset >= length:
                what = "lead in a circle" if offset in seen else "lie outside of the file"
                raise ScanError(f"'{path.name}' is a damaged TIFF: its pages {what}; save it again.")
            seen.add(offset)
            if len(seen) > most:
                raise LimitError(f"'{path.name}' has more than the {most} pages allowed; split it.")
            stream.seek(offset)
            count = _number(stream.read(8 if big else 2), order + ("Q" if big else "H"), 0)
            _go_to(stream, offset + (8 + 20 * count if big else 2 + 12 * count))
            offset = _number(stream.read(8 if big else 4), order + ("Q" if big else "I"), 0)
    return max(len(seen), 1)
