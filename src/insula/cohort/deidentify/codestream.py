"""Compressed frames of a DICOM file without the comments that encoders put into them."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from insula.cohort.deidentify import jpeg
from insula.core.errors import ScanError

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"
_COMMENT, _TILE_PART = 0x64, 0x90


def strip_frames(dataset: Dataset) -> None:
    """Take comments, and fragments that belong to no frame, out of encapsulated pixel data, in place.

    The pictures stay bit for bit the same. Raises ScanError for frames that are damaged.
    """
    frames = list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)))
    clean = [_frame(frame) for frame in frames]
    dataset.PixelData = encapsulate(clean, has_bot=True)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)


def _frame(frame: bytes) -> bytes:
    if frame.startswith(_JPEG):
        return jpeg.strip(frame, jfif=False)
    if frame.startswith(_JPEG_2000):
        return _jpeg_2000(frame)
    return frame


def _jpeg_2000(frame: bytes) -> bytes:
    """A code stream without the comments of its main header (ITU-T T.800, A.9.2), nor bytes after its end."""
    out, place = [frame[:2]], 2
    while place + 4 <= len(frame):
        if frame[place] != 0xFF:
            break
        marker = frame[place + 1]
        if marker == _TILE_PART:
            out.append(frame[place:])
            whole = b"".join(out)
            end = whole.rfind(b"\xff\xd9")
            return whole[: end + 2] if end > 0 else whole
        stop = place + 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
        if marker != _COMMENT:
            out.append(frame[place:stop])
        place = stop
    raise ScanError("A JPEG 2000 frame has a damaged header; export the file again.")
