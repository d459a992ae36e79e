"""The few attributes by which a received object is filed, read from the first bytes of its data set.

Whatever stands there is read in one pass, without recursion and without copying what is not asked for: it comes from
anybody who may open an association.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import charset, uid

from insula.serve.pacs.rules import SeriesFacts

MOST: Final = 16 << 20  # bytes of a data set in which the attributes have to stand
_DEEPEST: Final = 64
_MOST_ELEMENTS: Final = 200_000
_UNDEFINED: Final = 0xFFFFFFFF
_LONG: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARSET, _CLASS, _INSTANCE, _MODALITY = 0x00080005, 0x00080016, 0x00080018, 0x00080060
_STUDY_TEXT, _SERIES_TEXT, _BODY, _STUDY, _SERIES = 0x00081030, 0x0008103E, 0x00180015, 0x0020000D, 0x0020000E
_DATE, _ACCESSION = 0x00080020, 0x00080050
_TEXTS: Final = (_MODALITY, _BODY, _STUDY_TEXT, _SERIES_TEXT, _DATE, _ACCESSION)
_WANTED: Final = frozenset((_CHARSET, _CLASS, _INSTANCE, _STUDY, _SERIES, *_TEXTS))
_LONGEST: Final = 1024  # bytes of one value that is looked at
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)+")


class HeadError(ValueError):
    """Bytes that are no data set with the UIDs of its study, series, object and class."""


class ShortHeadError(HeadError):
    """A data set that goes on where the bytes end, before all of it was seen that is wanted."""


@dataclass(frozen=True)
class Head:
    """What an object is filed by. syntax: the transfer syntax in which it came; study_date: as 20260131, or ""."""

    class_uid: str
    instance_uid: str
    study_uid: str
    series_uid: str
    syntax: str
    modality: str
    body_part: str
    study_description: str
    series_description: str
    study_date: str = ""
    accession_number: str = ""

    def facts(self, source: str) -> SeriesFacts:
        """What rules look at."""
        return SeriesFacts(source, self.modality, self.body_part, self.study_description, self.series_description)


def is_uid(text: str) -> bool:
    """Whether a text is a UID as it is received: numbers and dots, at most 64 characters.

    Leading zeros, which PS3.5, 9.1 forbids, are what old scanners send; one name it is all the same.
    """
    return len(text) <= 64 and bool(_UID.fullmatch(text))


def read(data: bytes | bytearray, syntax: str) -> Head:
    """The attributes out of the first bytes of a data set (PS3.5, section 7) in a transfer syntax.

    Raises ShortHeadError where more bytes are needed, HeadError where no more would help.
    """
    short = False
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        data, short = _inflated(data)
    found, short_here = _wanted(data, syntax)
    values = {tag: raw.rstrip(b"\0 ").decode("ascii", "replace") for tag, raw in found.items()}
    names = (values.get(_CLASS, ""), values.get(_INSTANCE, ""), values.get(_STUDY, ""), values.get(_SERIES, ""))
    if not all(is_uid(name) for name in names):
        if short_here and not short:
            raise ShortHeadError("the data set goes on")
        raise HeadError("no valid UIDs of class, object, study and series")
    encodings = _encodings(values.get(_CHARSET, ""))
    modality, body, study_text, series_text, date, accession = (_text(found.get(t, b""), encodings) for t in _TEXTS)
    date = date if len(date) == 8 and date.isascii() and date.isdecimal() else ""
    return Head(*names, syntax, modality[:16], body, study_text, series_text, date, accession[:16])


def _inflated(data: bytes | bytearray) -> tuple[bytes, bool]:
    """As much as a data set's beginning may have, whatever it would inflate to; whether that is all there may be."""
    try:
        plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MOST)
    except zlib.error as error:
        raise HeadError("not deflated as its transfer syntax says") from error
    return plain, len(plain) >= MOST


def _wanted(data: bytes | bytearray, syntax: str) -> tuple[dict[int, bytes], bool]:
    """The raw values of the attributes at the top, and whether the bytes ended before the last of them could come."""
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    implicit = _is_implicit(data, syntax)
    tag_of, explicit_of, plain_of, long_of = (struct.Struct(order + form) for form in ("HH", "2sH", "L", "L"))
    found: dict[int, bytes] = {}
    outer: list[bool] = []  # one entry for each sequence or item of undefined length: how what is around it is written
    place, size, seen = 0, len(data), 0
    while place + 8 <= size:
        seen += 1
        if seen > _MOST_ELEMENTS:
            raise HeadError("elements without end")
        group, element = tag_of.unpack_from(data, place)
        tag = group << 16 | element
        if group == 0xFFFE or implicit:
            kind, (length,) = b"", plain_of.unpack_from(data, place + 4)
            place += 8
        else:
            kind, length = explicit_of.unpack_from(data, place + 4)
            place += 8
            if kind in _LONG:
                if place + 4 > size:
                    return found, True
                (length,) = long_of.unpack_from(data, place)
                place += 4
        if not outer:
            if tag > _SERIES:
                return found, False
            if tag in _WANTED:
                if length <= _LONGEST and place + length > size:
                    return found, True
                found[tag] = bytes(data[place : place + min(length, _LONGEST)]) if length != _UNDEFINED else b""
        if tag in (_ITEM_END, _SEQUENCE_END):
            implicit = outer.pop()
        elif length == _UNDEFINED:
            if len(outer) >= _DEEPEST:
                raise HeadError("sequences within sequences without end")
            outer.append(implicit)
            implicit = implicit or kind == b"UN"  # PS3.5, 6.2.2, note 2: what is in it is written without kinds
        else:
            place += length
    return found, True


def _is_implicit(data: bytes | bytearray, syntax: str) -> bool:
    """Whether elements come without their kinds, as the first element shows; some senders say one and do the other."""
    said = syntax == uid.ImplicitVRLittleEndian
    return said if len(data) < 8 else not all(65 <= one <= 90 for one in data[4:6])  # two letters, A to Z


def _encodings(value: str) -> list[str]:
    try:
        return list(charset.convert_encodings(value.split("\\")))
    except Exception:  # noqa: BLE001 - a name of a character set that there is not; the texts are kept as far as they go
        return ["iso8859"]


def _text(raw: bytes, encodings: Sequence[str]) -> str:
    try:
        text = str(charset.decode_bytes(raw, encodings, set()))
    except Exception:  # noqa: BLE001 - bytes that are none of that character set
        text = raw.decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip()[:64]
