"""Command sets of DIMSE messages (PS3.7, 6.3 and Annex E): elements of group 0000, little endian, without kinds."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

MOST: Final = 1 << 14  # bytes of a command set; the longest of the standard has a few hundred
# kinds of requests (E.1-1); that of an answer has the highest bit set as well
STORE, ECHO, ACTION, CANCEL = 0x0001, 0x0030, 0x0130, 0x0FFF
ANSWER: Final = 0x8000
# statuses (Annex C)
DONE, NOT_HERE, FAILED = 0x0000, 0x0112, 0x0110
NO_SUCH_OPERATION, NO_SUCH_ACTION, NOT_AUTHORISED, BAD_ARGUMENT = 0x0211, 0x0123, 0x0124, 0x0115
_NO_DATA: Final = 0x0101
_CLASS, _ASKED_CLASS, _KIND, _NUMBER, _ANSWERS, _DATA = 0x0002, 0x0003, 0x0100, 0x0110, 0x0120, 0x0800
_STATUS, _COMMENT, _OBJECT, _ASKED_OBJECT, _ACTION = 0x0900, 0x0902, 0x1000, 0x1001, 0x1008


class CommandError(ValueError):
    """Bytes that are no command set."""


@dataclass(frozen=True)
class Command:
    """A request. number: of the message; class_uid, object_uid: what it is about; action: of an N-ACTION."""

    kind: int
    number: int
    class_uid: str
    object_uid: str
    action: int
    has_data: bool


def read(raw: bytes | bytearray) -> Command:
    """A request out of its bytes. Raises CommandError for what is none."""
    found: dict[int, bytes] = {}
    place = 0
    while place < len(raw):
        if place + 8 > len(raw):
            raise CommandError("an element without its header")
        group, element, length = struct.unpack_from("<HHL", raw, place)
        place += 8
        if group or place + length > len(raw):
            raise CommandError("an element that is no command's, or longer than the set")
        found[element] = bytes(raw[place : place + length])
        place += length
    if _KIND not in found or _DATA not in found:
        raise CommandError("a set that says no kind")
    return Command(
        _short(found, _KIND),
        _short(found, _NUMBER),
        _text(found, _CLASS) or _text(found, _ASKED_CLASS),
        _text(found, _OBJECT) or _text(found, _ASKED_OBJECT),
        _short(found, _ACTION),
        _short(found, _DATA) != _NO_DATA,
    )


def answer(asked: Command, status: int, comment: str = "") -> bytes:
    """The response to a request. comment: ASCII, at most 64 characters of it are said."""
    elements = [
        (_CLASS, _uid(asked.class_uid)),
        (_KIND, struct.pack("<H", asked.kind | ANSWER)),
        (_ANSWERS, struct.pack("<H", asked.number)),
        (_DATA, struct.pack("<H", _NO_DATA)),
        (_STATUS, struct.pack("<H", status)),
        (_COMMENT, _even(comment[:64].encode("ascii", "replace"), b" ")),
        (_OBJECT, _uid(asked.object_uid)),
        (_ACTION, struct.pack("<H", asked.action) if asked.kind == ACTION else b""),
    ]
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements if value)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _short(found: dict[int, bytes], element: int) -> int:
    value = found.get(element, b"\0\0")
    if len(value) != 2:
        raise CommandError("a number of another length")
    (number,) = struct.unpack("<H", value)
    return int(number)


def _text(found: dict[int, bytes], element: int) -> str:
    return found.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace")[:64]


def _uid(text: str) -> bytes:
    return _even(text.encode("ascii", "replace"), b"\0")


def _even(raw: bytes, filler: bytes) -> bytes:
    return raw + filler * (len(raw) % 2)
