"""PNG, JPEG and TIFF pictures with the same pixels and without what is written beside them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from insula.cohort.deidentify import jpeg
from insula.cohort.deidentify.find_text import Box, Grey
from insula.cohort.deidentify.tally import Tally
from insula.core.errors import ScanError
from insula.scans import jpeg_scans
from insula.scans import pictures as reading
from insula.scans.limits import LIMITS

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"sRGB", b"sBIT", b"pHYs", b"bKGD"})
_ORIENTATION = 274
_TILED = 322
_SPARE = 2  # pixels around a box
_BLOCK = 1 << 20
_MOST_INFLATED = 9 * LIMITS.max_pixels  # the largest picture that is read, four channels of 16 bits, and its filters
_METADATA = {
    b"eXIf": "Exif",
    b"tEXt": "text chunk",
    b"zTXt": "text chunk",
    b"iTXt": "text chunk",
    b"iCCP": "ICC profile",
}


def clean(path: Path, kind: str, tally: Tally) -> bytes:
    """The bytes of the cleaned picture; kind is `png`, `jpeg` or `tiff`.

    PNG and JPEG keep their compressed pixels bit for bit; a TIFF is written anew without loss. What stays beside the
    pixels is what they cannot be shown without: palette, transparency, gamma, and an orientation. Raises ScanError for
    a damaged picture, or a tiled TIFF (those of whole slides carry pictures of the label).
    """
    reading.header(path)
    if kind == "png":
        return _png(path.read_bytes(), _orientation(path), tally)
    if kind == "jpeg":
        data = path.read_bytes()
        made = jpeg.strip(data, _orientation(path))
        for marker, body in jpeg.segments(data):
            if marker == jpeg.COM or 0xE0 <= marker <= 0xEF:
                name = {0xFE: "comment", 0xE0: "JFIF header", 0xE1: "Exif or XMP", 0xE2: "ICC profile"}.get(marker)
                if not (marker == 0xE0 and len(body) == 14):
                    tally.removed[name or f"APP{marker - 0xE0}"] += 1
        return made
    return _tiff(path, tally, ())


def blanked(path: Path, kind: str, boxes: Sequence[Box], tally: Tally) -> bytes:
    """The cleaned picture with black boxes; a JPEG is compressed again with the tables it had."""
    if kind == "tiff":
        return _tiff(path, tally, boxes)
    orientation = _orientation(path)
    with Image.open(path) as image:
        image.load()
        if kind == "png":
            made = _plain(image)
            _paint(made, boxes)
            stream = io.BytesIO()
            made.save(stream, "PNG")
            return _png(stream.getvalue(), orientation, tally)
        _paint(image, boxes)
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality="keep")
        return jpeg.strip(stream.getvalue(), orientation)


def grey(path: Path) -> list[Grey]:
    """The pages of a picture as they are stored, in 8 bits of grey, for text to be looked for in."""
    found = []
    with Image.open(path) as image:
        if image.format in ("JPEG", "MPO"):
            jpeg_scans.check(path)
        for index in range(int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1):
            if index:
                image.seek(index)
            if image.mode.startswith(("I", "F")):
                values = np.asarray(image).astype(np.float32)
                low, high = float(np.nanmin(values)), float(np.nanmax(values))
                found.append((255.0 * (values - low) / max(high - low, 1e-9)).astype(np.uint8))
            else:
                found.append(np.asarray(image.convert("RGB").convert("L"), np.uint8))
    return found


def _png(data: bytes, orientation: int, tally: Tally) -> bytes:
    if not data.startswith(_SIGNATURE):
        raise ScanError("The picture is no PNG; export it again.")
    out, pixels, place = [], [], len(_SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        if len(body) < length:
            break
        place += 12 + length
        if name == b"IDAT":
            pixels.append(body)
        elif name == b"IEND":
            if place < len(data):
                tally.removed["bytes after the picture"] += 1
            whole = b"".join(pixels)
            end = _end_of(whole)
            if orientation != 1:
                out.append((b"eXIf", jpeg.exif(orientation)))
            chunks = [*out, (b"IDAT", whole[:end]), (b"IEND", b"")]
            return _SIGNATURE + b"".join(
                struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
                for name, body in chunks
            )
        elif name in _CHUNKS:
            out.append((name, body))
        else:
            tally.removed[_METADATA.get(name, "other chunk")] += 1
    raise ScanError("The PNG ends too early; copy it again.")


def _end_of(packed: bytes) -> int:
    """Where a deflated stream ends (RFC 1950): what follows is not shown, and is left out.

    Inflated in pieces that are let go of. Raises ScanError for one that is damaged, cut short, or swells beyond any
    picture.
    """
    decoder, rest, left = zlib.decompressobj(), packed, _MOST_INFLATED
    try:
        while not decoder.eof:
            block = decoder.decompress(rest, _BLOCK)
            rest, left = decoder.unconsumed_tail, left - len(block)
            if left < 0 or not (block or rest or decoder.eof):
                raise ScanError("The PNG's pixels are cut short or swell beyond any picture; export it again.")
    except zlib.error as error:
        raise ScanError("The PNG's pixels are damaged; export it again.") from error
    return len(packed) - len(decoder.unused_data)


def _tiff(path: Path, tally: Tally, boxes: Sequence[Box]) -> bytes:
    pages: list[Image.Image] = []
    orientations: list[int] = []
    with Image.open(path, formats=("TIFF",)) as image:
        for index in range(int(getattr(image, "n_frames", 1))):
            image.seek(index)
            tags: Any = getattr(image, "tag_v2", {})
            if _TILED in tags:
                raise ScanError("The TIFF is tiled, as whole slides are, which may carry a picture of the label.")
            tally.removed["TIFF tag"] += sum(1 for tag in tags if tag not in _STRUCTURE)
            orientations.append(int(tags.get(_ORIENTATION, 1)))
            page = _plain(image)
            _paint(page, boxes)
            pages.append(page)
    stream = io.BytesIO()
    first, *rest = pages
    if len(set(orientations)) > 1:
        raise ScanError("The pages of the TIFF are turned in different ways; save each as a file of its own.")
    info = TiffImagePlugin.ImageFileDirectory_v2()
    if orientations[0] != 1:
        info[_ORIENTATION] = orientations[0]
    # Pillow 12 writes 16-bit and float values uncompressed or deflated alike; 1-bit and palettes too
    first.save(stream, "TIFF", save_all=bool(rest), append_images=rest, compression="tiff_adobe_deflate", tiffinfo=info)
    return stream.getvalue()


_STRUCTURE = frozenset({254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 338, 339, 347})


def _plain(image: Image.Image) -> Image.Image:
    """The pixels alone: what a picture carries in `info` would be written again."""
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.asarray(image).astype(np.uint16))
    made = Image.frombytes(image.mode, image.size, image.tobytes())
    if image.mode == "P":
        made.putpalette(
            image.getpalette(image.palette.mode if image.palette else "RGB") or [],
            image.palette.mode if image.palette else "RGB",
        )
        if "transparency" in image.info:
            made.info["transparency"] = image.info["transparency"]
    return made


def _paint(image: Image.Image, boxes: Sequence[Box]) -> None:
    if not boxes:
        return
    black: Any = 0
    if image.mode in ("RGBA", "LA"):
        black = (0,) * (len(image.getbands()) - 1) + (255,)
    elif image.mode == "CMYK":
        black = (0, 0, 0, 255)
    elif image.mode == "P":
        colours = np.asarray(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3).sum(axis=1)
        black = int(colours.argmin())
    elif len(image.getbands()) > 1:
        black = (0,) * len(image.getbands())
    for box in boxes:
        right, bottom = box.x + box.width + _SPARE, box.y + box.height + _SPARE
        image.paste(
            black, (max(box.x - _SPARE, 0), max(box.y - _SPARE, 0), min(right, image.width), min(bottom, image.height))
        )


def _orientation(path: Path) -> int:
    with Image.open(path) as image:
        found = int(image.getexif().get(_ORIENTATION, 1))
    return found if 1 <= found <= 8 else 1
