"""The picture size that a compressed frame claims itself, read from its markers without decoding."""

from __future__ import annotations

import struct

# start-of-frame markers of JPEG (T.81, B.1.1.3) and JPEG-LS (T.87); C4, C8 and CC are no frames
_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}


def claimed_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) claimed by a JPEG, JPEG-LS or JPEG 2000 codestream, or None where it is none of them (RLE).

    Decoders allocate by this claim and not by the DICOM header, so the two are compared before decoding.
    """
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0 and (start == 0 or frame[4:8] == b"jP  "):
        if len(frame) < start + 24:
            return None
        right, bottom, left, top = struct.unpack(">4I", frame[start + 8 : start + 24])
        return bottom - top, right - left
    if not frame.startswith(b"\xff\xd8"):
        return None
    return _jpeg(frame)


def _jpeg(frame: bytes) -> tuple[int, int] | None:
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
            if place + 9 > len(frame):
                return None
            rows, columns = struct.unpack(">HH", frame[place + 5 : place + 9])
            return rows, columns
        if length < 2 or marker == 0xDA:
            return None
        place += 2 + length
    return None
