"""A JPEG stream without what is no picture: comments, application data, thumbnails, bytes after the end."""

from __future__ import annotations

from collections.abc import Iterator

from insula.core.errors import ScanError

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
# JFIF 1.02, no unit, no thumbnail; and Exif with nothing but an orientation (TIFF 6.0, tag 274)
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"
_EXIF = b"\xff\xe1\x00\x22Exif\x00\x00"


def strip(data: bytes, orientation: int = 1, jfif: bool = True) -> bytes:
    """The same compressed picture, bit for bit, with nothing beside it (ITU-T T.81, B.1).

    Kept are the tables, frame and scan headers, scans, and the Adobe and JPEG-LS colour markers, without which colours
    change; a plain JFIF header and an orientation other than 1 are written anew. Works for JPEG and JPEG-LS. Raises
    ScanError for a stream that is cut short or no JPEG.
    """
    out = [b"\xff\xd8"]
    if jfif and any(marker == 0xE0 and body.startswith(b"JFIF\0") for marker, body in segments(data)):
        out.append(_JFIF)
    if orientation != 1:
        out.append(_EXIF + exif(orientation))
    for marker, body in segments(data):
        if marker in (SOI, EOI) or marker == COM or 0xE0 <= marker <= 0xEF:
            if marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
                out.append(b"\xff\xee\x00\x0e" + body[:12])
            elif marker == 0xE8 and body.startswith(b"mrfx") and len(body) >= 5:
                out.append(b"\xff\xe8\x00\x07" + body[:5])
            continue
        if marker == SOS:
            length = int.from_bytes(body[:2], "big")
            out.append(b"\xff\xda" + body[:length] + body[length:])
        else:
            out.append(bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body)
    out.append(b"\xff\xd9")
    return b"".join(out)


def exif(orientation: int) -> bytes:
    """A TIFF directory of one tag: the orientation, 26 bytes."""
    entry = (274).to_bytes(2, "big") + (3).to_bytes(2, "big") + (1).to_bytes(4, "big")
    entry += orientation.to_bytes(2, "big") + b"\0\0"
    return b"MM\0\x2a\0\0\0\x08" + b"\0\x01" + entry + b"\0\0\0\0"


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment up to the end of the picture; ScanError for a broken stream.

    The body of a scan is its header, with its length bytes, and its entropy-coded data.
    """
    if data[:2] != b"\xff\xd8":
        raise ScanError("The stream does not begin as a JPEG; export the picture again.")
    place = 2
    while place + 1 < len(data):
        if data[place] != 0xFF:
            raise ScanError("The JPEG stream is damaged between its segments; export the picture again.")
        marker = data[place + 1]
        if marker == 0xFF:  # filler
            place += 1
            continue
        if marker == EOI:
            return
        if marker in _ALONE:
            place += 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        end = place + 2 + length
        if length < 2 or end > len(data):
            break
        if marker == SOS:
            stop = _scan_end(data, end)
            yield marker, data[place + 2 : stop]
            place = stop
        else:
            yield marker, data[place + 4 : end]
            place = end
    raise ScanError("The JPEG stream ends too early; export the picture again.")


def _scan_end(data: bytes, place: int) -> int:
    """Where the next marker stands after entropy-coded data: FF followed by no stuffing and no restart.

    In JPEG-LS (ITU-T T.87) FF is followed by a stuffed bit, so any byte below 0x80 goes on with the scan.
    """
    while True:
        place = data.find(b"\xff", place)
        if place < 0 or place + 1 >= len(data):
            raise ScanError("The JPEG stream ends too early; export the picture again.")
        following = data[place + 1]
        if following < 0x80 or 0xD0 <= following <= 0xD7:
            place += 2
        elif following == 0xFF:
            place += 1
        else:
            return place
