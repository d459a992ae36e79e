"""PNG and TIFF pictures whose values Pillow would cut to 8 bits, change or turn around: read whole by OpenCV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from insula.core.errors import ScanError

# TIFF 6.0, section 8, and the PNG specification, 11.2.1
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANES, _SAMPLE_FORMAT = 258, 262, 274, 277, 284, 339
_WHITE_IS_ZERO, _SEPARATE, _UNSIGNED, _SIGNED = 0, 2, 1, 2
_COLOURED = (2, 4, 6)  # PNG colour types with more than one value a pixel
_FULL = {"uint8": 255.0, "uint16": 65535.0, "uint32": 4294967295.0}
Picture = tuple[NDArray[np.float32], float | None]


def decode(image: Image.Image, path: Path, page: int) -> Picture | None:
    """One page (C, Y, X) with its full scale where Pillow's own decoding is not exact, else None.

    image: opened by Pillow and standing at that page, not decoded yet. Raises ScanError for what neither library reads
    exactly, or cannot read.
    """
    if image.format == "PNG":
        return _png(image, path)
    return _tiff(image, path, page) if image.format == "TIFF" else None


def grey_or_colour(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """(Y, X, 3) as float32 (3, Y, X), or as (1, Y, X) where all three channels are equal."""
    if (values[..., 0] == values[..., 1]).all() and (values[..., 1] == values[..., 2]).all():
        return values[..., 0].astype(np.float32)[None]
    return np.ascontiguousarray(np.moveaxis(values.astype(np.float32), 2, 0))


def turned(array: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """(C, Y, X) as it is to be shown, by the EXIF and TIFF orientation 1 to 8 (TIFF 6.0, page 36); others change
    nothing.
    """
    if orientation in (5, 6, 7, 8):
        array = array.transpose(0, 2, 1)
    if orientation in (3, 4, 7, 8):
        array = array[:, ::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, :, ::-1]
    return np.ascontiguousarray(array)


def _png(image: Image.Image, path: Path) -> Picture | None:
    with path.open("rb") as stream:
        start = stream.read(26)
    if start[24] != 16 or start[25] not in _COLOURED:
        return None
    orientation = image.getexif().get(_ORIENTATION, 1)
    image.load()  # Pillow compares the checksums and lengths that OpenCV takes as they come
    values = _opencv(path, 0)
    colour = values[..., ::-1][..., -3:] if values.ndim == 3 else values[..., None].repeat(3, axis=2)
    return turned(grey_or_colour(colour), int(orientation)), 65535.0


def _tiff(image: Image.Image, path: Path, page: int) -> Picture | None:
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits = tags.get(_BITS, (1,))
    bits = (bits,) if isinstance(bits, int) else tuple(bits)
    formats = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))
    kind = formats if isinstance(formats, int) else formats[0]
    samples = int(tags.get(_SAMPLES, 1))
    grey_wrong = samples == 1 and (kind, bits[0]) in ((_SIGNED, 8), (_UNSIGNED, 32))
    inverted = samples == 1 and bits[0] == 16 and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    deep_colour = samples > 1 and max(bits) > 8
    if not (grey_wrong or inverted or deep_colour):
        return None
    if deep_colour and (tags.get(_PLANES, 1) == _SEPARATE or samples not in (3, 4) or kind != _UNSIGNED):
        raise ScanError(
            f"'{path.name}' stores {samples} values of {max(bits)} bits a pixel in an order that is not read exactly; "
            "save it as 16-bit RGB, pixel by pixel."
        )
    values = _opencv(path, page)  # turned by its orientation already, as OpenCV does with TIFF
    full = _FULL.get(values.dtype.name)
    if deep_colour:
        array = grey_or_colour(values[..., ::-1][..., -3:])
    else:
        array = values.astype(np.float32)[None]
        if inverted:
            array = np.float32(full or 0.0) - array
    return array, full


def _opencv(path: Path, page: int) -> NDArray[np.generic]:
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    _, found = cv2.imreadmulti(str(path), start=page, count=1, flags=cv2.IMREAD_UNCHANGED)
    if not found:
        raise ScanError(f"'{path.name}' is no readable picture (page {page + 1}); export it again.")
    values: NDArray[np.generic] = np.asarray(found[0])
    return values
