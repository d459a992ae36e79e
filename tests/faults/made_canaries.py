"""Scans in which everything that may name a patient is a value of its own, and a search for these values in bytes."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import pydicom
from pydicom.dataelem import DataElement
from pydicom.uid import UID
from tests.cohort.deidentify.canaries import Canaries, listed, vr_of
from tests.serve.client import dicom

# of whom everything tells: as people write it into forms, names of files and folders
NAME: Final = "Planted Zoë Çelik"
PATIENT: Final = "PLNT-4711-77"
NOTE: Final = "Plantednote: Zoë fell down the stairs of Plantedstreet 9"
TITLE: Final = "Plantedtitle head"
FILE: Final = "Plantedfile Zoë"
WORDS: Final = (NAME, PATIENT, "Plantednote", "Plantedstreet", "Plantedtitle", "Plantedfile", "Zoë", "Planted")
_NEEDED: Final = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"}
STUDY, SERIES, FRAME = "1.2.999.4711.1", "1.2.999.4711.2", "1.2.999.4711.3"
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{12,}")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{12,}={0,2}")


def planted(number: int = 1) -> tuple[bytes, Canaries]:
    """One slice that can be predicted, and what was planted: in every attribute of PS3.15's table, nested ones, private
    ones, overlays, the file's own head and its preamble.
    """
    image, known = pydicom.dcmread(io.BytesIO(dicom(number=number))), Canaries(count=1000 * number)
    for rule in listed():
        if rule.keyword not in _NEEDED:
            known.put(image, int(rule.tag, 16), vr_of(rule), rule.keyword or rule.tag)
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName, image.PatientID = NAME.replace(" ", "^"), PATIENT
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = STUDY, SERIES, FRAME
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(f"{SERIES}.{number}")
    for k, vr in enumerate(("LO", "UN", "OB", "DA", "UI", "PN", "SQ")):
        known.put(image, 0x00110010 if k == 0 else 0x00111000 + k, vr, f"private {vr}")
    known.put(image, 0x60003000, "OW", "overlay data")
    known.put(image, 0x60004000, "LT", "overlay comments")
    known.put(image, 0x60000022, "LO", "overlay description")
    known.put(image, 0x00123456, "UN", "unknown public attribute")
    image[0x00081030] = DataElement(0x00081030, "LO", "Plantedtitle of CN009999")
    image.file_meta.SourceApplicationEntityTitle = "CNMETA_AE"
    image.file_meta.PrivateInformationCreatorUID = UID("1.3.999.1.2.3")
    image.file_meta.PrivateInformation = b"CNMETAPRIVATE"
    image.preamble = b"CNPREAMBLE".ljust(128, b"\1")
    known.found_by |= {
        "study": STUDY.encode(), "series": SERIES.encode(), "frame": FRAME.encode(), "meta title": b"CNMETA_AE",
        "meta private": b"CNMETAPRIVATE", "meta uid": b"1.3.999.1.2.3", "preamble": b"CNPREAMBLE",
        "description": b"CN009999",
    }  # fmt: skip
    stream = io.BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return stream.getvalue(), known


def values_of(*known: Canaries) -> dict[str, bytes]:
    """What is looked for, by what it is; values of fewer than eight bytes could be there by chance."""
    found = {f"the words {word!r}": word.encode() for word in WORDS}
    for number, one in enumerate(known):
        found |= {f"{name} ({number})": value for name, value in one.found_by.items() if len(value) >= 8}
    return found


def hidden_in(data: bytes, values: dict[str, bytes]) -> set[str]:
    """What of the values stands in bytes: as UTF-8, Latin-1, UTF-16, percent, backslash or HTML escapes, hexadecimal or
    base64.
    """
    seen = b"\n".join(_unpacked(data)).lower()
    return {name for name, value in values.items() if any(one.lower() in seen for one in _forms(value))}


def _forms(value: bytes) -> Iterable[bytes]:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return (value,)
    escaped = {text.encode("unicode_escape"), text.encode("ascii", "xmlcharrefreplace"), quote(text).encode()}
    return {value, text.encode("latin-1", "ignore"), text.replace(" ", "^").encode(), *escaped}


def _unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and what they are when they are read in other ways."""
    yield data
    if b"\0" in data:
        yield data.replace(b"\0", b"")  # UTF-16 and UTF-32 of what Latin-1 can write
    if b"%" in data:
        yield unquote_to_bytes(data)
    for found in _HEX.findall(data):
        for start in (0, 1):
            part = found[start:]
            yield binascii.unhexlify(part[: len(part) & ~1])
    for found in _BASE64.findall(data):
        part = found.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        for start in range(4):
            piece = part[start:]
            yield base64.b64decode(piece[: len(piece) & ~3])
