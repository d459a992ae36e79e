"""The file meta information of stored objects (PS3.10, 7.1), which depends on nothing but the object.

The same data set is the same file, then, whoever sent it and however: by DIMSE, by DICOMweb, again after years.
"""

from __future__ import annotations

import struct
from typing import Final

from insula.serve.pacs.heads import HeadError, is_uid

IMPLEMENTATION: Final = "2.25.38927050962209377080950818443127750716"  # a UUID, for all versions alike (PS3.5, B.2)
_PREAMBLE: Final = bytes(128) + b"DICM"
_LONG: Final = (b"OB", b"UN", b"UT", b"SQ", b"OW")
_SYNTAX: Final = 0x0010


def written(class_uid: str, instance_uid: str, syntax: str) -> bytes:
    """Preamble, prefix and meta information that go before a data set."""
    elements = b"".join(
        (
            _element(0x0001, b"OB", b"\x00\x01"),
            _element(0x0002, b"UI", _padded(class_uid)),
            _element(0x0003, b"UI", _padded(instance_uid)),
            _element(_SYNTAX, b"UI", _padded(syntax)),
            _element(0x0012, b"UI", _padded(IMPLEMENTATION)),
        )
    )
    return _PREAMBLE + _element(0x0000, b"UL", struct.pack("<L", len(elements))) + elements


def split(data: bytes) -> tuple[str, int]:
    """The transfer syntax that a file names, and where its data set begins. Raises HeadError for what is no file."""
    if data[128:132] != b"DICM":
        raise HeadError("no DICOM file")
    place, syntax = 132, ""
    try:
        while data[place : place + 2] == b"\x02\x00":
            element, kind, length = struct.unpack_from("<H2sH", data, place + 2)
            place += 8
            if kind in _LONG:
                (length,) = struct.unpack_from("<L", data, place)
                place += 4
            if element == _SYNTAX:
                syntax = data[place : place + length].rstrip(b"\0 ").decode("ascii", "replace")
            place += length
    except struct.error as error:
        raise HeadError("meta information without an end") from error
    if not is_uid(syntax):
        raise HeadError("no transfer syntax")
    return syntax, place


def _element(element: int, kind: bytes, value: bytes) -> bytes:
    if kind in _LONG:
        return struct.pack("<HH2sHL", 0x0002, element, kind, 0, len(value)) + value
    return struct.pack("<HH2sH", 0x0002, element, kind, len(value)) + value


def _padded(text: str) -> bytes:
    raw = text.encode("ascii")
    return raw + b"\0" * (len(raw) % 2)
