"""The elements of a DICOM file, unconverted, found several times faster than pydicom finds them.

Only in what nearly all files are: a preamble, a file meta group as long as it says, little-endian elements in rising
order, each of them whole. Of anything else `parse` gives None, and pydicom, which forgives much, has the file to
itself. What it gives is what pydicom would give: tests compare the two on every file that pydicom brings, and on
damaged ones.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any, BinaryIO, Literal, cast

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import read_sequence
from pydicom.tag import BaseTag
from pydicom.uid import AllTransferSyntaxes, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32
from pydicom.values import convert_string

_START = 1 << 14  # bytes read at once: most headers are shorter
_KEPT = 1 << 12  # bytes of pixels that are not worth leaving in the file
_UNDEFINED = 0xFFFFFFFF
_GROUP_LENGTH, _SYNTAX, _CHARSET = 0x00020000, 0x00020010, 0x00080005
_FIRST, _LAST = 0x00040000, 0xFFFDFFFF  # tags that a dataset may hold here: no command set, no item
_FLOATS, _DOUBLES, _PIXELS = 0x7FE00008, 0x7FE00009, 0x7FE00010
_ITEM, _END = 0xE000FFFE, 0xE0DDFFFE  # as they are read in one piece
_META = b"\x02\0\0\0UL\x04\0"  # the group length, which comes first (PS3.10, 7.1)
_EXPLICIT, _IMPLICIT = Struct("<HH2sH").unpack_from, Struct("<HHI").unpack_from
_LENGTH, _PIECE = Struct("<I").unpack_from, Struct("<II").unpack_from
_SHORT = {kind.encode(): str(kind) for kind in EXPLICIT_VR_LENGTH_16}
_LONG = {kind.encode(): str(kind) for kind in EXPLICIT_VR_LENGTH_32}
# syntax → whether its elements are written without their types
_IS_IMPLICIT = {
    uid.encode(): uid.is_implicit_VR
    for uid in AllTransferSyntaxes
    if uid.is_little_endian and (not uid.is_deflated or uid == DeflatedExplicitVRLittleEndian)
}
tag = lru_cache(maxsize=4096)(BaseTag)  # one object for each number: comparing two of them is slow
Pixels = Literal["now", "later", "never"]
Found = dict[BaseTag, Any]
_new = tuple.__new__  # passes the constructor in Python by, which takes longer than all the rest


def parse(stream: BinaryIO, name: str, pixels: Pixels, inflate: Callable[[BinaryIO], bytes]) -> Dataset | None:
    """The dataset of a file opened at its start, or None where pydicom has to read it.

    pixels: "now", "later" (long native pixels stay in the file, which is long enough to hold them; pydicom fetches them
    by `name` when they are asked for) or "never" (as `stop_before_pixels`). inflate: what follows the meta group of a
    deflated file; its errors are raised.
    """
    start = stream.read(_START)
    size = stream.seek(0, 2)
    meta, end = _meta(stream, start)
    syntax = bytes(meta[tag(_SYNTAX)].value or b"").rstrip(b"\0 ") if tag(_SYNTAX) in meta else b""
    if syntax not in _IS_IMPLICIT:
        return None
    implicit, preamble = _IS_IMPLICIT[syntax], start[:128]
    if syntax == DeflatedExplicitVRLittleEndian.encode():
        stream.seek(end)
        start, end, pixels = inflate(stream), 0, "now" if pixels == "later" else pixels
        stream, size = io.BytesIO(start), len(start)
    if implicit and all(0x40 < letter < 0x5B for letter in start[end + 4 : end + 6]):
        return None  # a type where none should be
    try:
        found = _elements(stream, start, end, size, implicit, pixels, (_FIRST, _LAST))
        return None if found is None else _dataset(name, preamble, meta, found, implicit)
    except Exception:  # noqa: BLE001  broad: whatever is wrong with the file, pydicom is to say it
        return None


def _meta(stream: BinaryIO, start: bytes) -> tuple[Found, int]:
    """The file meta group and where it ends; no elements where it is not plain, or longer than what was read."""
    if start[128:132] != b"DICM" or start[132:140] != _META:
        return {}, 0
    end = 144 + int(_LENGTH(start, 140)[0])
    if end > len(start):
        return {}, 0
    try:
        return _elements(stream, start[:end], 132, end, False, "now", (_GROUP_LENGTH, _FIRST)) or {}, end
    except Exception:  # noqa: BLE001  broad, as in `parse`
        return {}, 0


def _elements(
    stream: BinaryIO, data: bytes, place: int, size: int, implicit: bool, pixels: Pixels, tags: tuple[int, int]
) -> Found | None:
    """The elements from `place` to `size` of a stream that begins with `data`; tags: the first and last one allowed."""
    found: Found = {}
    last, most = tags[0] - 1, tags[1]
    base, value, encoding = 0, cast(Any, None), cast(Any, default_encoding)  # base: where `data` begin in the stream
    while True:
        if len(data) - place < 12 and base + len(data) < size:
            base, place, data = base + place, 0, _read(stream, base + place, min(_START, size - base - place))
        if len(data) - place < 8:
            return found if len(data) == place else None
        kind: str | None = None
        if implicit:
            group, element, length = _IMPLICIT(data, place)
            place += 8
        else:
            group, element, letters, length = _EXPLICIT(data, place)
            place += 8
            kind = _SHORT.get(letters)
            if kind is None:
                kind = _LONG[letters]  # a KeyError is an unknown type
                length = _LENGTH(data, place)[0]
                place += 4
        number = group << 16 | element
        if not last < number <= most:
            return None
        last, told = number, base + place
        if number in (_FLOATS, _DOUBLES, _PIXELS):
            if pixels == "never":
                return found
            value, after = _pixels(stream, told, length, size, pixels)
            if length == _UNDEFINED and (number != _PIXELS or implicit):
                return None
            base, place, data = after, 0, b""
        elif length == _UNDEFINED:
            if kind != "SQ" and not (implicit and dictionary_VR(number) == "SQ"):
                return None
            stream.seek(told)
            sequence = read_sequence(stream, implicit, True, length, encoding)
            found[tag(number)] = DataElement(tag(number), "SQ", sequence, told, is_undefined_length=True)
            base, place, data = stream.tell(), 0, b""
            continue
        else:
            if place + length > len(data):
                if told + length > size:
                    return None
                base, place, data = told, 0, _read(stream, told, min(length + _START, size - told))
            value = data[place : place + length] if length else cast(Any, empty_value_for_VR(kind, raw=True))
            place += length
            if number == _CHARSET:
                encoding = convert_encodings(convert_string(value or b"", True))
        key = tag(number)
        found[key] = _new(RawDataElement, (key, kind, length, value, told, implicit, True, True, False))


def _pixels(stream: BinaryIO, told: int, length: int, size: int, pixels: Pixels) -> tuple[bytes | None, int]:
    """The pixel bytes at a place, None where they stay in the file, and the place behind them.

    Raises ValueError where they are not whole. Frames (PS3.5, A.4) are walked by the lengths of their pieces.
    """
    if length != _UNDEFINED:
        if told + length > size:
            raise ValueError("pixels that are cut short")
        return _read(stream, told, length) if pixels == "now" or length < _KEPT else None, told + length
    rest, place = _read(stream, told, size - told), 0
    while True:
        mark, piece = _PIECE(rest, place)
        if mark == _END and piece == 0:
            return rest[:place], told + place + 8
        if mark != _ITEM or place + 8 + piece > len(rest):
            raise ValueError("no pieces of frames")
        place += 8 + piece


def _read(stream: BinaryIO, place: int, count: int) -> bytes:
    stream.seek(place)
    data = stream.read(count)
    if len(data) != count:
        raise ValueError("a file that changes while it is read")
    return data


def _dataset(name: str, preamble: bytes, meta: Found, found: Found, implicit: bool) -> Dataset:
    """As `pydicom.filereader.read_partial` makes it of the same elements."""
    head = FileMetaDataset(meta)
    head.set_original_encoding(False, True, default_encoding)
    made = FileDataset(name, found, preamble, head, implicit, True)
    charset = found.get(tag(_CHARSET))
    told = default_encoding if charset is None else list(_charset(charset.VR, charset.value))
    made.set_original_encoding(implicit, True, told)
    return made


@lru_cache(maxsize=64)
def _charset(kind: str | None, value: bytes | None) -> tuple[str, ...]:
    raw = RawDataElement(BaseTag(_CHARSET), kind, len(value or b""), value, 0, kind is None, True)
    return tuple(convert_encodings(convert_raw_data_element(raw).value))
