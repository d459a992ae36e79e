"""Grey pixels decoded without holding Python's lock, so that the slices of a series use all cores.

Two ways: values that stand in the file as they are, and frames for imagecodecs where it is installed: libjpeg-turbo for
lossless JPEG, CharLS for JPEG-LS, OpenJPEG for JPEG 2000. Both give None for what is in any way unusual, and then the
decoders of `syntax` take over: it is faster here, not different.

imagecodecs' decoder for HTJ2K (OpenJPH) is left alone: of damaged frames it gives uninitialised memory without a word,
or dies. OpenJPEG, which decodes JPEG 2000, reads these frames too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.tag import Tag
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLossless, JPEGLosslessSV1, JPEGLSTransferSyntaxes

from insula.core.errors import ScanError
from insula.scans import attributes, codestream, limits
from insula.scans.header import Header

_PIXELS = Tag(0x7FE0, 0x0010)
_SIZES = {8: 1, 16: 2, 32: 4}
_GREY = frozenset({*PhotometricInterpretation, "PALETTE COLOR"})
Grey = NDArray[np.generic]


def native(dataset: Dataset, facts: Header) -> Grey | None:
    """The stored integers (frames, rows, columns) of an uncompressed little-endian file, read straight from it.

    Raises ScanError where the file has become shorter than it was when its header was read.
    """
    kind = _kind(dataset, facts)
    element = dataset.get_item(_PIXELS, keep_deferred=True)
    if kind is None or not isinstance(element, RawDataElement) or not element.is_little_endian:
        return None
    count = facts.frames * facts.rows * facts.columns
    if element.length // (facts.rows * facts.columns * kind.itemsize) != facts.frames:
        return None  # undefined, short, or with frames that the header does not count
    shape = facts.frames, facts.rows, facts.columns
    if element.value is not None:
        return np.frombuffer(element.value, kind, count).reshape(shape)
    values = np.empty(shape, kind)
    with Path(dataset.filename).open("rb", buffering=0) as stream:
        stream.seek(element.value_tell)
        rest = memoryview(values).cast("B")
        while rest and (got := stream.readinto(rest)):
            rest = rest[got:]
    if rest:
        raise ScanError(
            f"'{facts.path.name}' became shorter while it was read; wait until it is whole, then try again."
        )
    return values


def frames(dataset: Dataset, facts: Header, syntax: UID, packed: Sequence[bytes]) -> Grey | None:
    """The stored integers (frames, rows, columns) of compressed grey frames, their signs as the header has them.

    Raises ScanError for a damaged lossless JPEG: the other decoder of these, GDCM, may die of it.
    """
    decode, kind, name = decoder(syntax), _kind(dataset, facts), facts.path.name
    if decode is None or kind is None or len(packed) != facts.frames:
        return None
    made: list[Grey] = []
    for frame in packed:
        try:
            found = decode(frame)
        except Exception as error:  # broad: each decoder has exceptions of its own
            if _is_jpeg(syntax):
                raise ScanError(
                    f"'{name}' has undecodable pixels ({limits.reason(error)}); export it again."
                ) from error
            return None
        claim = codestream.claim(frame)
        if claim is None or not isinstance(found, np.ndarray) or found.shape != (facts.rows, facts.columns):
            return None
        made.append(_signed(found, kind, syntax, claim.bits))
    if len({one.dtype for one in made}) != 1:
        return None
    return made[0][None] if len(made) == 1 else np.stack(made)


def _signed(found: Grey, kind: np.dtype[Any], syntax: UID, bits: int) -> Grey:
    """Decoded values with the header's sign, as pydicom's plugins give them.

    JPEG lossless comes in the header's width. JPEG-LS and JPEG 2000 come in the width of their own precision, and what
    is signed in the header and not in the codestream (or the other way) is extended from the highest coded bit.
    """
    if _is_jpeg(syntax):
        return found.astype(kind, copy=False)
    mine = found.view(np.dtype(f"{kind.kind}{found.dtype.itemsize}"))
    spare = 8 * found.dtype.itemsize - bits
    if spare > 0 and (syntax in JPEGLSTransferSyntaxes or found.dtype.kind != kind.kind):
        mine = np.right_shift(np.left_shift(mine, spare), spare)
    return mine


def _kind(dataset: Dataset, facts: Header) -> np.dtype[Any] | None:
    """The type of the stored integers; None for what is no grey picture of whole bytes with a sound description."""
    told = attributes.integer(dataset, "SamplesPerPixel", 0)
    if told != 1 or min(facts.frames, facts.rows, facts.columns) < 1:
        return None
    size = _SIZES.get(attributes.integer(dataset, "BitsAllocated", 0))
    stored = attributes.integer(dataset, "BitsStored", 0)
    sign = attributes.integer(dataset, "PixelRepresentation", -1)
    if size is None or not 1 <= stored <= 8 * size or sign not in (0, 1):
        return None
    if str(attributes.value(dataset, "PhotometricInterpretation")) not in _GREY:
        return None
    return np.dtype(f"<{'ui'[sign]}{size}")


def _is_jpeg(syntax: UID) -> bool:
    return syntax in (JPEGLossless, JPEGLosslessSV1)


@cache
def decoder(syntax: UID) -> Callable[[bytes], Any] | None:
    """The function of imagecodecs for a syntax, None without one."""
    try:
        import imagecodecs
    except ImportError:
        return None
    if _is_jpeg(syntax):
        jpeg = imagecodecs.JPEG8
        return imagecodecs.jpeg8_decode if jpeg.available and jpeg.all_precisions else None
    if syntax in JPEGLSTransferSyntaxes:
        return imagecodecs.jpegls_decode if imagecodecs.JPEGLS.available else None
    if syntax in JPEG2000TransferSyntaxes:
        return imagecodecs.jpeg2k_decode if imagecodecs.JPEG2K.available else None
    return None
