"""Protocol data units of the DICOM upper layer (PS3.8, 9.3), as the side that accepts associations needs them.

Everything read here comes from anybody who can reach the port: lengths are checked against what is there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

REQUEST, ACCEPT, REJECT, DATA, RELEASE, RELEASED, ABORT = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
MOST_DATA: Final = 1 << 17  # bytes of a unit of data, as we announce it; dcmtk sends no longer ones
MOST_REQUEST: Final = 1 << 19  # of a request: 128 contexts with all transfer syntaxes take 360 kB
LEAST_DATA: Final = 64  # bytes of a unit that a caller has to take, lest an answer be cut into thousands
APPLICATION: Final = "1.2.840.10008.3.1.1.1"  # the DICOM application context (PS3.7, A.2.1)
_HEADER: Final = struct.Struct(">BxL")
_ITEM: Final = struct.Struct(">BxH")
# reasons of an abort by the provider (table 9-26)
NOT_SAID, UNKNOWN_UNIT, UNEXPECTED_UNIT, INVALID_VALUE = 0, 1, 2, 6


class UnitError(ValueError):
    """A unit that breaks the standard. reason: of the abort that answers it."""

    def __init__(self, reason: int, what: str) -> None:
        super().__init__(what)
        self.reason = reason


@dataclass(frozen=True)
class Proposed:
    """A presentation context that a caller proposes: its odd number, a SOP class, the transfer syntaxes."""

    number: int
    abstract: str
    syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """A request for an association. most: bytes of a unit of data that the caller takes, 0 for any. raw: as it came."""

    version: int
    called: str
    calling: str
    application: str
    contexts: tuple[Proposed, ...]
    most: int
    raw: bytes


@dataclass(frozen=True)
class Answered:
    """What became of a proposed context. result: 0 accepted, 3 no such SOP class here, 4 no such transfer syntax."""

    number: int
    result: int
    syntax: str


@dataclass(frozen=True)
class Part:
    """A part of a message: of its command or of its data set, in a presentation context."""

    context: int
    command: bool
    last: bool
    content: memoryview


def header(raw: bytes | bytearray) -> tuple[int, int]:
    """The kind and the length of a unit out of its first six bytes."""
    kind, length = _HEADER.unpack(raw)
    return kind, length


def request(body: bytes) -> Request:
    """A request (9.3.2). Raises UnitError for one that breaks the standard."""
    if len(body) < 68:
        raise UnitError(INVALID_VALUE, "a request without its fixed part")
    (version,) = struct.unpack_from(">H", body)
    application, most, contexts = "", 0, list[Proposed]()
    for kind, content in _items(body[68:]):
        if kind == 0x10:
            application = _name(content)
        elif kind == 0x20:
            contexts.append(_proposed(content))
        elif kind == 0x50:
            most = _most(content)
    numbers = [one.number for one in contexts]
    if not contexts or len(set(numbers)) < len(numbers) or any(not number % 2 for number in numbers):
        raise UnitError(INVALID_VALUE, "presentation contexts without odd numbers of their own")
    if 0 < most < LEAST_DATA:
        raise UnitError(INVALID_VALUE, "units too short for an answer")
    return Request(version, _title(body[4:20]), _title(body[20:36]), application, tuple(contexts), most, body)


def accepted(asked: Request, answers: Sequence[Answered], class_uid: str) -> bytes:
    """The unit that accepts an association (9.3.3). class_uid: that names this implementation."""
    contexts = b"".join(
        _item(0x21, struct.pack(">BxBx", one.number, one.result) + _item(0x40, one.syntax.encode("ascii")))
        for one in answers
    )
    user = _item(0x51, struct.pack(">L", MOST_DATA)) + _item(0x52, class_uid.encode("ascii"))
    fixed = struct.pack(">H", 1) + bytes(2) + asked.raw[4:68]
    return _unit(ACCEPT, fixed + _item(0x10, APPLICATION.encode("ascii")) + contexts + _item(0x50, user))


def rejected(result: int, source: int, reason: int) -> bytes:
    """The unit that rejects an association (9.3.4)."""
    return _unit(REJECT, bytes((0, result, source, reason)))


def released() -> bytes:
    """The answer to a release (9.3.7)."""
    return _unit(RELEASED, bytes(4))


def aborted(reason: int, provider: bool = True) -> bytes:
    """The end of an association that goes wrong (9.3.8)."""
    return _unit(ABORT, bytes((0, 0, 2, reason) if provider else (0, 0, 0, 0)))


def parts(body: memoryview) -> Iterator[Part]:
    """The parts in a unit of data (9.3.5, Annex E.2). Raises UnitError for lengths that do not fit."""
    place, size = 0, len(body)
    while place < size:
        if place + 6 > size:
            raise UnitError(INVALID_VALUE, "a part without its header")
        length, number, control = struct.unpack_from(">LBB", body, place)
        end = place + 4 + length
        if length < 2 or end > size:
            raise UnitError(INVALID_VALUE, "a part that is longer than its unit")
        yield Part(number, bool(control & 1), bool(control & 2), body[place + 6 : end])
        place = end


def data(context: int, command: bytes, most: int) -> bytes:
    """Units of data that bring a command without a data set. most: bytes of one unit, 0 for any."""
    longest = min(most or MOST_DATA, MOST_DATA) - 6
    pieces = [command[start : start + longest] for start in range(0, len(command), longest)]
    units = []
    for number, piece in enumerate(pieces, start=1):
        control = 0x01 | (0x02 if number == len(pieces) else 0)
        units.append(_unit(DATA, struct.pack(">LBB", len(piece) + 2, context, control) + piece))
    return b"".join(units)


def _proposed(content: bytes) -> Proposed:
    if len(content) < 4:
        raise UnitError(INVALID_VALUE, "a presentation context without its number")
    abstract, syntaxes = "", list[str]()
    for kind, value in _items(content[4:]):
        if kind == 0x30:
            abstract = _name(value)
        elif kind == 0x40:
            syntaxes.append(_name(value))
    return Proposed(content[0], abstract, tuple(syntaxes))


def _most(content: bytes) -> int:
    found = 0
    for kind, value in _items(content):
        if kind == 0x51:
            if len(value) != 4:
                raise UnitError(INVALID_VALUE, "a longest length that is no number")
            (found,) = struct.unpack(">L", value)
    return found


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    place, size = 0, len(content)
    while place < size:
        if place + 4 > size:
            raise UnitError(INVALID_VALUE, "an item without its header")
        kind, length = _ITEM.unpack_from(content, place)
        place += 4
        if place + length > size:
            raise UnitError(INVALID_VALUE, "an item that is longer than what it is in")
        yield kind, content[place : place + length]
        place += length


def _item(kind: int, content: bytes) -> bytes:
    return _ITEM.pack(kind, len(content)) + content


def _unit(kind: int, body: bytes) -> bytes:
    return _HEADER.pack(kind, len(body)) + body


def _title(raw: bytes) -> str:
    return raw.decode("latin-1").strip("\0 ")


def _name(raw: bytes) -> str:
    return raw.rstrip(b"\0 ").decode("ascii", "replace")[:64]
