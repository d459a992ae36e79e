"""Data sets that are wrong on purpose: lengths that lie, depths without end, UIDs that are paths, texts as code."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from tests.pacs.fuzz import mutate
from tests.pacs.fuzz.pdus import CT, uid

UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG: Final = frozenset(("OB", "OW", "SQ", "UN", "UT", "UC", "UR", "OF", "OD"))
HOSTILE: Final = (
    "../../../../etc/passwd", "1.2.3/../../x", "1.2\n1.3", "1..2", ".1", "1.2.", "01.2", "1.2." + "9" * 200, "1.2\0.3",
    "", " ", "a.b.c", "1.2;DROP TABLE pacs_studies", "１.２.３", "%s%s%n", "-1.2", "1.2 ", "\udcff\udcfe", "1.2\\1.3",
    "file:///etc/passwd", "1.2\r\nSet-Cookie: a=b", "${jndi:ldap://x}",
)  # fmt: skip
TEXTS: Final = (
    "<script>alert(1)</script>", "=HYPERLINK(\"http://x\",\"y\")", "+1+cmd|' /C calc'!A0", "@SUM(1)",
    "\x1b[31mred\x1b[0m",
    "line\nlevel=error forged=1", "\r\n\r\nHTTP/1.1 200", "\0\0", "é" * 70, "\u202egnp.exe", "{{7*7}}",
    "'; DROP TABLE--",
    "x" * 5000, "\x1b$B;3ED", "\\..\\", "{{ config }}",
)  # fmt: skip
CHARSETS: Final = (
    "ISO_IR 192",
    "ISO 2022 IR 87",
    "\\ISO 2022 IR 149",
    "ISO_IR 999",
    "\x1b",
    "utf-8",
    "ISO_IR 13",
    "GB18030",
)


def element(tag: int, vr: str, raw: bytes, length: int | None = None) -> bytes:
    """An element in explicit VR little endian. length: that it says it has."""
    said = len(raw) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode("latin-1"))
    if vr in _LONG:
        return head + struct.pack("<HL", 0, said & UNDEFINED) + raw
    return head + struct.pack("<H", said & 0xFFFF) + raw


def mark(tag: int, length: int = 0) -> bytes:
    """An item or the end of one."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length)


def text(words: str) -> bytes:
    """A text of even length."""
    raw = words.encode("utf-8", "surrogateescape")
    return raw + b" " * (len(raw) % 2)


def sound(
    instance: str, study: str = "1.2.999.3", series: str = "1.2.999.3.1", more: Mapping[str, bytes] | None = None
) -> list[tuple[int, bytes]]:
    """The elements of a small CT slice by their tags, in order. more: elements by tag, in place of these or beside."""
    rows = {
        0x00080005: element(0x00080005, "CS", text("ISO_IR 192")),
        0x00080016: element(0x00080016, "UI", uid(CT)),
        0x00080018: element(0x00080018, "UI", uid(instance)),
        0x00080020: element(0x00080020, "DA", b"20240305"),
        0x00080060: element(0x00080060, "CS", b"CT"),
        0x00081030: element(0x00081030, "LO", text("head")),
        0x0008103E: element(0x0008103E, "LO", text("axial")),
        0x00100010: element(0x00100010, "PN", text("Fuzz^Canary")),
        0x00100020: element(0x00100020, "LO", text("FUZZ-4711")),
        0x0020000D: element(0x0020000D, "UI", uid(study)),
        0x0020000E: element(0x0020000E, "UI", uid(series)),
        0x00200013: element(0x00200013, "IS", b"1 "),
        0x00280010: element(0x00280010, "US", struct.pack("<H", 4)),
        0x00280011: element(0x00280011, "US", struct.pack("<H", 4)),
        0x00280100: element(0x00280100, "US", struct.pack("<H", 16)),
        0x7FE00010: element(0x7FE00010, "OW", bytes(32)),
    }
    rows |= {int(tag, 16): raw for tag, raw in (more or {}).items()}
    return sorted(rows.items())


def joined(rows: list[tuple[int, bytes]]) -> bytes:
    """The elements one after the other."""
    return b"".join(raw for _, raw in rows)


def hostile(random: Random, instance: str) -> bytes:
    """One data set in explicit VR little endian."""
    return random.choice(KINDS)(random, instance)


def deflated(random: Random, instance: str) -> bytes:
    """One data set for the deflated transfer syntax: a sound one, a broken one, or one that inflates without end."""
    which = random.randrange(4)
    plain = joined(sound(instance))
    if which == 0:
        plain = joined(sound(instance)[:-1]) + element(0x7FE00010, "OW", bytes(random.choice((1 << 20, 30 << 20))))
    elif which == 1:
        plain = element(0x00080008, "UT", bytes(8 << 20)) + plain
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(plain) + packer.flush()
    return mutate.changed(random, packed) if which == 2 else packed


def _changed(random: Random, instance: str) -> bytes:
    return mutate.changed(random, joined(sound(instance)))


def _cut(random: Random, instance: str) -> bytes:
    return mutate.cut(random, joined(sound(instance)))


def _lying(random: Random, instance: str) -> bytes:
    rows = sound(instance)
    place = random.randrange(len(rows))
    tag, raw = rows[place]
    vr = raw[4:6].decode()
    start = 12 if vr in _LONG else 8
    rows[place] = (tag, element(tag, vr, raw[start:], mutate.length(random)))
    return joined(rows)


def _deep(random: Random, instance: str) -> bytes:
    depth = random.choice((20, 33, 64, 65, 200, 1000, 5000))
    if random.random() < 0.5:  # of undefined length
        inner = (element(0x00081140, "SQ", b"", UNDEFINED) + mark(_ITEM, UNDEFINED)) * depth
        inner += (mark(_ITEM_END) + mark(_SEQUENCE_END)) * random.choice((0, depth))
    else:
        inner = b""
        for _ in range(min(depth, 1000)):
            inner = element(0x00081140, "SQ", mark(_ITEM, len(inner)) + inner)
    place = random.choice(("00081140", "00082112", "00400275"))
    return joined(sound(instance, more={place: inner}))


def _uids(random: Random, instance: str) -> bytes:
    tag = random.choice((0x00080016, 0x00080018, 0x0020000D, 0x0020000E))
    return joined(sound(instance, more={f"{tag:08X}": element(tag, "UI", uid(random.choice(HOSTILE)))}))


def _texts(random: Random, instance: str) -> bytes:
    more = {
        f"{tag:08X}": element(tag, vr, text(random.choice(TEXTS)))
        for tag, vr in (
            (0x00081030, "LO"),
            (0x0008103E, "LO"),
            (0x00100010, "PN"),
            (0x00180015, "CS"),
            (0x00080060, "CS"),
        )
    }
    more["00080005"] = element(0x00080005, "CS", text(random.choice(CHARSETS)))
    return joined(sound(instance, more=more))


def _missing(random: Random, instance: str) -> bytes:
    gone = random.sample((0x00080016, 0x00080018, 0x0020000D, 0x0020000E), random.randint(1, 3))
    return joined([row for row in sound(instance) if row[0] not in gone])


def _twice(random: Random, instance: str) -> bytes:
    rows = sound(instance) + sound("1.2.999.4")
    random.shuffle(rows)
    return joined(rows)


def _many(random: Random, instance: str) -> bytes:
    """Elements without number, or zeros, which a reader may take for elements."""
    if random.random() < 0.5:
        padding = bytes(random.choice((100_000, 2_000_000)))
    else:
        padding = element(0x00080008, "CS", b"") * random.choice((1000, 60_000, 250_000))
    return padding + joined(sound(instance))


def _meta(random: Random, instance: str) -> bytes:
    """A file where a data set should be, with or without its beginning."""
    meta = element(0x00020010, "UI", uid(random.choice(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.3"))))
    return random.choice((bytes(128) + b"DICM", b"", b"DICM")) + meta + joined(sound(instance))


def _vr(random: Random, instance: str) -> bytes:
    rows = [raw for _, raw in sound(instance)]
    place = random.randrange(len(rows))
    raw = bytearray(rows[place])
    raw[4:6] = random.choice((b"SQ", b"UN", b"XX", b"\0\0", b"OB", b"PN", b"AT", b"FD", b"\xff\xff"))
    rows[place] = bytes(raw)
    return b"".join(rows)


def _pixels(random: Random, instance: str) -> bytes:
    """Pixels in pieces that do not fit, and sides that nobody has memory for."""
    more = {
        "00280010": element(0x00280010, "US", struct.pack("<H", 65535)),
        "00280011": element(0x00280011, "US", struct.pack("<H", 65535)),
        "00280008": element(0x00280008, "IS", text(random.choice(("99999999", "-1", "abc", "1e9")))),
    }
    pieces = b"".join(mark(_ITEM, mutate.length(random)) + mutate.junk(random, 30) for _ in range(random.randint(0, 4)))
    end = random.choice((b"", mark(_SEQUENCE_END)))
    more["7FE00010"] = element(0x7FE00010, "OB", pieces + end, UNDEFINED)
    return joined(sound(instance, more=more))


def _as_it_is(random: Random, instance: str) -> bytes:
    return joined(sound(instance)) + mutate.junk(random, 16)


KINDS: Final[tuple[Callable[[Random, str], bytes], ...]] = (
    _changed, _changed, _cut, _lying, _lying, _deep, _uids, _texts, _missing, _twice, _many, _meta, _vr, _pixels,
    _as_it_is,
)  # fmt: skip
