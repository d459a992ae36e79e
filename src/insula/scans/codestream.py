"""What a compressed frame claims of itself, read from its markers without decoding."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# start-of-frame markers of JPEG (T.81, B.1.1.3) and JPEG-LS (T.87); C4, C8 and CC are no frames
_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}


@dataclass(frozen=True)
class Claim:
    """Size in pixels, values per pixel, and the bits of the first value."""

    rows: int
    columns: int
    samples: int
    bits: int


def claim(frame: bytes) -> Claim | None:
    """What a JPEG, JPEG-LS or JPEG 2000 codestream (T.81, T.87, T.800) claims, or None where it is none of them (RLE).

    Decoders allocate and index by this claim and not by the DICOM header, so the two are compared before decoding.
    """
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0 and (start == 0 or frame[4:8] == b"jP  "):
        if len(frame) < start + 43:
            return None
        right, bottom, left, top = struct.unpack(">4I", frame[start + 8 : start + 24])
        samples, depth = struct.unpack(">HB", frame[start + 40 : start + 43])
        return Claim(bottom - top, right - left, samples, (depth & 0x7F) + 1)
    if not frame.startswith(b"\xff\xd8"):
        return None
    return _jpeg(frame)


def _jpeg(frame: bytes) -> Claim | None:
    place = 2
    while place + 4 <= len(frame):
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        length = int.from_bytes(frame[place + 2 : place + 4], "big")
        if marker in _START_OF_FRAME:
            if place + 10 > len(frame):
                return None
            bits, rows, columns, samples = struct.unpack(">BHHB", frame[place + 4 : place + 10])
            return Claim(rows, columns, samples, bits)
        if length < 2 or marker == 0xDA:
            return None
        place += 2 + length
    return None
