"""Compressed frames of a DICOM file without what encoders put into them, and without bytes that are no picture."""

from __future__ import annotations

import struct

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import RLELossless

from insula.cohort.deidentify import jpeg
from insula.core.errors import ScanError

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"
_TILE_PART = 0x90
# the segments of headers that a picture is made from or found with (T.800, table A.2; CAP, PRF and CPF of later parts):
# no comment (64), no marker that nobody knows, and no lengths of all tile-parts (55), which anybody can do without and
# which are others once something is gone (A.7.1)
_KEPT = frozenset((0x50, 0x51, 0x52, 0x53, 0x56, 0x57, 0x58, 0x59, *range(0x5C, 0x62), 0x63))
_DATA, _END = b"\xff\x93", b"\xff\xd9"
_HEADER = struct.Struct("<16L")  # of an RLE frame: how many segments, and where each begins (PS3.5, G.5)


def strip_frames(dataset: Dataset) -> None:
    """Take comments, fragments that belong to no frame, and bytes behind the end of a frame out of encapsulated pixel
    data, in place.

    The pictures stay bit for bit the same. Raises ScanError for frames that are damaged.
    """
    frames = list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)))
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        clean = [_rle(frame, int(dataset.Rows) * int(dataset.Columns)) for frame in frames]
    else:
        clean = [_frame(frame) for frame in frames]
    dataset.PixelData = encapsulate(clean, has_bot=True)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)


def _frame(frame: bytes) -> bytes:
    if frame.startswith(_JPEG):
        return jpeg.strip(frame, jfif=False)
    return _jpeg_2000(frame) if frame.startswith(_JPEG_2000) else frame


def _rle(frame: bytes, pixels: int) -> bytes:
    """An RLE frame (PS3.5, G) whose segments hold a byte of each pixel, and no more."""
    if len(frame) < _HEADER.size:
        raise _damaged("RLE")
    count, *starts = _HEADER.unpack_from(frame)
    if not 0 < count <= len(starts):
        raise _damaged("RLE")
    ends = [*starts[1:count], len(frame)]
    segments = [_segment(frame[start:end], pixels) for start, end in zip(starts, ends, strict=False)]
    places, place = [0] * len(starts), _HEADER.size
    for number, segment in enumerate(segments):
        places[number] = place
        place += len(segment)
    return _HEADER.pack(count, *places) + b"".join(segments)


def _segment(packed: bytes, pixels: int) -> bytes:
    """As much of a segment as gives so many bytes and not one more, of even length (PS3.5, G.3.1)."""
    place = made = last = told = 0
    while made < pixels:
        if place >= len(packed):
            raise _damaged("RLE")
        last, told = place, packed[place]
        place += told + 2 if told < 128 else 1 if told == 128 else 2
        made += told + 1 if told < 128 else 0 if told == 128 else 257 - told
    if place > len(packed):
        raise _damaged("RLE")
    kept, over = bytearray(packed[:place]), made - pixels
    if over:  # the last run goes on behind the last pixel, with bytes that nobody sees
        if told < 128:
            kept[last] -= over
            del kept[place - over :]
        else:  # a value that stands once is no run (G.3.1), but a piece of one
            kept[last] = (told + over) % 256
    return bytes(kept) + b"\0" * (len(kept) % 2)


def _jpeg_2000(frame: bytes) -> bytes:
    """A code stream without the comments of its headers (ITU-T T.800, A.9.2), nor bytes behind its end."""
    out, place = [frame[:2]], 2
    while place + 4 <= len(frame):
        if frame[place] != 0xFF:
            break
        if frame[place + 1] == _TILE_PART:
            return b"".join((*out, _tile_parts(frame, place), _END))
        place = _kept(frame, place, out)
    raise _damaged("JPEG 2000")


def _tile_parts(frame: bytes, place: int) -> bytes:
    """The tile-parts from a place on, each as long as it says (A.4.2), the last may leave that open."""
    out = []
    while frame[place : place + 2] == bytes((0xFF, _TILE_PART)):
        length = int.from_bytes(frame[place + 6 : place + 10], "big")
        head, at = [frame[place : place + 12]], place + 12
        while frame[at : at + 2] != _DATA:
            at = _kept(frame, at, head)
        end = place + length if length else frame.find(_END, at)
        if not at < end <= len(frame):
            raise _damaged("JPEG 2000")
        part = b"".join(head) + frame[at:end]
        out.append(part[:6] + (len(part) if length else 0).to_bytes(4, "big") + part[10:])
        place = end
    if frame[place:].strip(b"\0") and frame[place : place + 2] != _END:
        raise _damaged("JPEG 2000")
    return b"".join(out)


def _kept(frame: bytes, place: int, out: list[bytes]) -> int:
    """Keep a segment of a header, if it is one that the picture needs; where the next one begins."""
    length = int.from_bytes(frame[place + 2 : place + 4], "big")
    end = place + 2 + length
    if frame[place : place + 1] != b"\xff" or length < 2 or end > len(frame):
        raise _damaged("JPEG 2000")
    if frame[place + 1] in _KEPT:
        out.append(frame[place:end])
    return end


def _damaged(kind: str) -> ScanError:
    return ScanError(f"A {kind} frame is damaged; export the file again.")
