"""What a compressed frame claims of itself, read from its markers without decoding.

Decoders allocate and index by this claim and not by the DICOM header, and some of them die of a damaged one with the
whole process. So every frame is walked here first, whatever decoder it goes to.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# start-of-frame markers of JPEG (T.81, B.1.1.3) and JPEG-LS (T.87); C4, C8 and CC are no frames
_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_HUFFMAN_TABLES, _SCAN, _ADOBE = 0xC4, 0xDA, 0xEE
# what else may stand before the first scan: quantisation, lines, restart interval, JPEG-LS parameters, APPn, comment
_OTHERS = {0xDB, 0xDC, 0xDD, 0xF8, *range(0xE0, 0xF0), 0xFE}
_J2K_START = b"\xff\x4f\xff\x51"
_MOST_TILES = 65_535
_RLE_HEADER = 64


@dataclass(frozen=True)
class Claim:
    """Size in pixels, values per pixel, the bits of the first value, and the process (`jpeg C0` to `CF`, `jls`, `j2k`).

    complete: whether the codestream goes on as far as its first coded data, with tables that make sense.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    process: str
    complete: bool = True


def claim(frame: bytes) -> Claim | None:
    """What a JPEG, JPEG-LS or JPEG 2000 codestream (T.81, T.87, T.800) claims, or None where it is none of them."""
    start = frame.find(_J2K_START, 0, 4096)
    if start >= 0 and (start == 0 or frame[4:8] == b"jP  "):
        return _jpeg_2000(frame, start)
    return _jpeg(frame) if frame.startswith(b"\xff\xd8") else None


def rle(frame: bytes, segments: int) -> str:
    """What is wrong with the header of an RLE frame (PS3.5, G.5) that must hold so many segments, or ""."""
    if len(frame) <= _RLE_HEADER:
        return f"an RLE frame of {len(frame)} bytes, shorter than its header"
    count, *offsets = struct.unpack("<16I", frame[:_RLE_HEADER])
    if count != segments:
        return f"an RLE frame of {count} segments where {segments} are needed"
    used = offsets[:count]
    if used[0] != _RLE_HEADER or sorted(set(used)) != used or used[-1] >= len(frame):
        return "an RLE frame whose segments lie outside it"
    return ""


def _jpeg_2000(frame: bytes, start: int) -> Claim | None:
    if len(frame) < start + 43:
        return None
    right, bottom, left, top, tile_wide, tile_high, tile_left, tile_top = struct.unpack(
        ">8I", frame[start + 8 : start + 40]
    )
    samples, depth = struct.unpack(">HB", frame[start + 40 : start + 43])
    components = frame[start + 42 : start + 42 + 3 * samples]
    sound = len(components) == 3 * samples and tile_wide > 0 and tile_high > 0
    if sound:
        tiles = -(-(right - tile_left) // tile_wide) * -(-(bottom - tile_top) // tile_high)
        sound = 0 < tiles <= _MOST_TILES and all(
            components[i : i + 3] == bytes((depth, 1, 1)) for i in range(0, 3 * samples, 3)
        )
    return Claim(bottom - top, right - left, samples, (depth & 0x7F) + 1, "j2k", sound)


def _jpeg(frame: bytes) -> Claim | None:
    """Walk the segments to the first scan; a table that overruns its segment makes the frame incomplete."""
    place, found, tables = 2, None, 0
    while place + 4 <= len(frame):
        if frame[place] != 0xFF:
            break
        marker = frame[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        length = int.from_bytes(frame[place + 2 : place + 4], "big")
        body = frame[place + 4 : place + 2 + length]
        if length < 2 or len(body) != length - 2:
            break
        if marker in _START_OF_FRAME:
            if found is not None or len(body) < 6:
                return found and _incomplete(found)
            bits, rows, columns, samples = struct.unpack(">BHHB", body[:6])
            process = "jls" if marker == 0xF7 else f"jpeg {marker:X}"
            found = Claim(rows, columns, samples, bits, process, len(body) == 6 + 3 * samples)
        elif marker == _HUFFMAN_TABLES:
            count = _huffman(body)
            if count < 1:
                return found and _incomplete(found)
            tables += count
        elif marker == _SCAN:
            if found is None:
                return None
            scanned = body[0] if body else 0
            sound = 1 <= scanned <= min(4, found.samples) and len(body) == 4 + 2 * scanned
            sound = sound and (tables > 0 or found.process == "jls")
            return found if found.complete and sound else _incomplete(found)
        elif marker not in _OTHERS or (marker == _ADOBE and body.startswith(b"Adobe") and not _adobe(body)):
            break
        place += 2 + length
    return found and _incomplete(found)


def _adobe(body: bytes) -> bool:
    """Whether an Adobe segment names a transform of three colours, none or YCbCr: GDCM dies of others."""
    return len(body) < 12 or body[11] <= 1  # a shorter one is passed over by the decoders


def _huffman(body: bytes) -> int:
    """How many Huffman tables a segment defines (T.81, B.2.4.2), 0 where one is impossible."""
    place, count = 0, 0
    while place < len(body):
        lengths = body[place + 1 : place + 17]
        total = sum(lengths)
        codes = 0
        for size in lengths:  # T.81, C.2: codes of one length follow those of the shorter ones
            codes = 2 * codes + size
        if len(lengths) < 16 or body[place] & 0xEC or not 1 <= total <= 256 or place + 17 + total > len(body):
            return 0
        if codes > 1 << 16:
            return 0
        place += 17 + total
        count += 1
    return count


def _incomplete(found: Claim) -> Claim:
    return Claim(found.rows, found.columns, found.samples, found.bits, found.process, False)
