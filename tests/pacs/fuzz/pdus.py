"""Protocol data units of the upper layer (PS3.8, 9.3) and command sets (PS3.7, 6.3) as bytes, with nothing checked."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION: Final = "1.2.840.10008.1.1"
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
# presentation contexts that every association here asks for: number → class and transfer syntax
CONTEXTS: Final = {
    1: (CT, EXPLICIT),
    3: (CT, IMPLICIT),
    5: (CT, DEFLATED),
    7: (CT, BIG),
    9: (CT, RLE),
    11: (VERIFICATION, IMPLICIT),
    13: (COMMITMENT, IMPLICIT),
}
RELEASE: Final = b"\x05\0" + struct.pack(">L", 4) + bytes(4)
ABORT: Final = b"\x07\0" + struct.pack(">L", 4) + bytes(4)


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """One unit. length: that it says it has."""
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def item(kind: int, body: bytes, length: int | None = None) -> bytes:
    """One item of an association request (PS3.8, 9.3.2)."""
    return struct.pack(">BBH", kind, 0, (len(body) if length is None else length) & 0xFFFF) + body


def context(number: int, abstract: bytes, syntaxes: Sequence[bytes]) -> bytes:
    """A presentation context that is asked for."""
    inner = item(0x30, abstract) + b"".join(item(0x40, one) for one in syntaxes)
    return item(0x20, bytes((number & 0xFF, 0, 0, 0)) + inner)


def user(*more: bytes, largest: int = 16384) -> bytes:
    """User information: the longest unit, the implementation, and more items."""
    return item(0x50, item(0x51, struct.pack(">L", largest)) + item(0x52, b"1.2.826.0.1.3680043.9.1") + b"".join(more))


def request(
    called: bytes = b"INSULA",
    calling: bytes = b"FUZZ",
    contexts: Iterable[bytes] | None = None,
    info: bytes | None = None,
) -> bytes:
    """The body of an association request."""
    asked = contexts
    if asked is None:
        asked = [context(n, abstract.encode(), [syntax.encode()]) for n, (abstract, syntax) in CONTEXTS.items()]
    titles = called.ljust(16)[:16] + calling.ljust(16)[:16] + bytes(32)
    application = item(0x10, b"1.2.840.10008.3.1.1.1")
    return struct.pack(">HH", 1, 0) + titles + application + b"".join(asked) + (user() if info is None else info)


def associate(**parts: object) -> bytes:
    """An association request."""
    return pdu(0x01, request(**parts))  # type: ignore[arg-type]


def value(number: int, fragment: bytes, header: int, length: int | None = None) -> bytes:
    """A presentation data value. header: 1 command, 2 last."""
    return struct.pack(">LBB", len(fragment) + 2 if length is None else length, number & 0xFF, header & 0xFF) + fragment


def element(tag: int, raw: bytes, length: int | None = None) -> bytes:
    """An element in implicit VR little endian. length: that it says it has."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(raw) if length is None else length) + raw


def command(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """A command set with its group length."""
    body = b"".join(element(tag, raw) for tag, raw in elements)
    return element(0x00000000, struct.pack("<L", len(body))) + body


def uid(text: str) -> bytes:
    """A UID as it is stored, of even length."""
    raw = text.encode("utf-8", "surrogateescape")
    return raw + b"\0" * (len(raw) % 2)


def short(number: int) -> bytes:
    """A US."""
    return struct.pack("<H", number & 0xFFFF)


def store(instance: str, message: int = 1, sop_class: str = CT) -> list[tuple[int, bytes]]:
    """The elements of a C-STORE request (PS3.7, 9.3.1.1)."""
    return [
        (0x00000002, uid(sop_class)),
        (0x00000100, short(0x0001)),
        (0x00000110, short(message)),
        (0x00000700, short(0)),
        (0x00000800, short(0x0001)),
        (0x00001000, uid(instance)),
    ]


def echo(message: int = 1) -> list[tuple[int, bytes]]:
    """The elements of a C-ECHO request (PS3.7, 9.3.5.1)."""
    return [
        (0x00000002, uid(VERIFICATION)),
        (0x00000100, short(0x0030)),
        (0x00000110, short(message)),
        (0x00000800, short(0x0101)),
    ]


def action(message: int = 1) -> list[tuple[int, bytes]]:
    """The elements of the N-ACTION request that asks for storage commitment (PS3.4, J.3.2)."""
    return [
        (0x00000003, uid(COMMITMENT)),
        (0x00000100, short(0x0130)),
        (0x00000110, short(message)),
        (0x00000800, short(0x0001)),
        (0x00001001, uid(COMMITMENT_INSTANCE)),
        (0x00001008, short(1)),
    ]


def sent(number: int, commands: bytes, data: bytes = b"", size: int = 16000) -> bytes:
    """A message in as many units as it takes."""
    units = [pdu(0x04, value(number, commands, 3))]
    pieces = [data[place : place + size] for place in range(0, len(data), size)]
    units += [pdu(0x04, value(number, piece, 2 if k == len(pieces) else 0)) for k, piece in enumerate(pieces, 1)]
    return b"".join(units)


def units(raw: bytes) -> list[tuple[int, bytes]]:
    """The kinds and bodies of whole units. Fails for bytes that are none, or that end within one."""
    found, place = [], 0
    while place < len(raw):
        kind, length = struct.unpack_from(">BxL", raw, place)
        assert len(raw) >= place + 6 + length, "a unit that ends too early"
        found.append((kind, raw[place + 6 : place + 6 + length]))
        place += 6 + length
    return found


def told(body: bytes) -> dict[int, bytes]:
    """The elements of an answer, out of a unit of data that brings all of its command set."""
    length, _, header = struct.unpack_from(">LBB", body)
    assert length + 4 == len(body)
    assert header == 3, "a command set in one piece"
    raw, place, found = body[6:], 0, {}
    while place < len(raw):
        group, number, size = struct.unpack_from("<HHL", raw, place)
        found[group << 16 | number] = raw[place + 8 : place + 8 + size]
        place += 8 + size
    return found
