"""The transfer syntaxes that are read: the decoder of each, and what its frames must look like before they go there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from insula.core.errors import ScanError
from insula.scans import attributes, codestream, jpeg_scans, unlocked
from insula.scans.header import Header

NATIVE = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
_PIXELS = Tag(0x7FE0, 0x0010)
_JPEG_END = b"\xff\xd9"
_SEQUENTIAL = frozenset({"jpeg C0", "jpeg C1", "jpeg C2"})


@dataclass(frozen=True)
class Codec:
    """What the frames of one syntax must claim to be, and the decoders that are trusted with them, best first.

    Before these `unlocked` has its turn with grey frames. GDCM dies of some damaged JPEG frames with the whole process,
    so it comes last, and alone only where no other reads.
    """

    processes: frozenset[str]
    plugins: tuple[str, ...]


_J2K = frozenset({"j2k"})
CODECS = {
    JPEGBaseline8Bit: Codec(_SEQUENTIAL, ("pillow",)),
    JPEGExtended12Bit: Codec(_SEQUENTIAL, ("pillow",)),
    JPEGLossless: Codec(frozenset({"jpeg C3"}), ("gdcm",)),
    JPEGLosslessSV1: Codec(frozenset({"jpeg C3"}), ("gdcm",)),
    JPEGLSLossless: Codec(frozenset({"jls"}), ("pyjpegls", "gdcm")),
    JPEGLSNearLossless: Codec(frozenset({"jls"}), ("pyjpegls", "gdcm")),
    JPEG2000Lossless: Codec(_J2K, ("pylibjpeg", "gdcm")),
    JPEG2000: Codec(_J2K, ("pylibjpeg", "gdcm")),
    HTJ2KLossless: Codec(_J2K, ("pylibjpeg",)),
    HTJ2KLosslessRPCL: Codec(_J2K, ("pylibjpeg",)),
    HTJ2K: Codec(_J2K, ("pylibjpeg",)),
    RLELossless: Codec(frozenset(), ("pylibjpeg", "pydicom")),
}


def of(dataset: Dataset, name: str) -> UID:
    """The transfer syntax of a file; one without a file meta group has the encoding in which it was parsed.

    Raises ScanError for a syntax that is not read (video, JPEG XL, JPIP, private ones).
    """
    meta = getattr(dataset, "file_meta", None)
    syntax = attributes.value(meta, "TransferSyntaxUID") if meta is not None else None
    if not syntax:
        implicit, little = dataset.original_encoding
        return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    found = _uid(str(syntax))
    if found not in NATIVE and found not in CODECS:
        known = found.name if not found.is_private and found.name != str(found) else str(found)[:64]
        raise ScanError(
            f"'{name}' has the transfer syntax {known}, which is not read; export it uncompressed or as JPEG 2000."
        )
    return found


@lru_cache(maxsize=64)
def _uid(text: str) -> UID:
    return UID(text)


def check(dataset: Dataset, facts: Header, syntax: UID) -> None:
    """Compare what the header promises with what the file holds, before a decoder believes either.

    Raises ScanError for pixel data that are absent, short, or contradict the header.
    """
    name = facts.path.name
    if any(attributes.present(dataset, kind) for kind in ("FloatPixelData", "DoubleFloatPixelData")):
        return
    held = _length(dataset)
    if not held:
        raise ScanError(f"'{name}' is a DICOM file without pixels; give an image file.")
    bits = int(attributes.value(dataset, "BitsAllocated") or 0)
    if bits not in (1, 8, 16, 32):
        raise ScanError(f"'{name}' stores {bits} bits a value; only 1, 8, 16 and 32 are read.")
    if syntax in CODECS:
        count = 0
        for frame in _frames(dataset, facts):
            _check_frame(frame, facts, syntax, bits)
            count += 1
        if count < facts.frames:
            raise ScanError(f"'{name}' promises {facts.frames} frames and holds {count}; copy it again.")
        return
    needed = _needed(dataset, facts, bits)
    if held < needed:
        raise ScanError(
            f"'{name}' holds {held} bytes of pixels and its header promises {needed}; "
            "the file is cut short, copy it again."
        )


def is_longer(dataset: Dataset, facts: Header, syntax: UID) -> bool:
    """Whether a file holds more bytes of uncompressed pixels than its header promises, after `check`."""
    bits = attributes.value(dataset, "BitsAllocated")
    if syntax in CODECS or not bits or not attributes.present(dataset, "PixelData"):
        return False
    needed = _needed(dataset, facts, int(bits))
    return _length(dataset) > needed + needed % 2  # a length is even (PS3.5, 7.1.1)


def _needed(dataset: Dataset, facts: Header, bits: int) -> int:
    """Bytes of uncompressed pixels that a header promises."""
    values = facts.rows * facts.columns * facts.samples * facts.frames
    if str(attributes.value(dataset, "PhotometricInterpretation")) == "YBR_FULL_422":
        values = values // 3 * 2
    return (values * bits + 7) // 8


def decode(dataset: Dataset, facts: Header, syntax: UID) -> NDArray[np.generic]:
    """The stored integers (or floats) of all frames, after `check`; colours other than palettes come as RGB."""
    if syntax == JPEGExtended12Bit and _bits(dataset, facts) > 8:
        return _twelve_bits(dataset, facts)
    codec = CODECS.get(syntax)
    integers = attributes.present(dataset, "PixelData")
    if integers and codec is None and (quick := unlocked.native(dataset, facts)) is not None:
        return quick
    if integers and unlocked.decoder(syntax) is not None:
        quick = unlocked.frames(dataset, facts, syntax, list(_frames(dataset, facts)))
        if quick is not None:
            return quick
    if not getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None):
        dataset.file_meta.TransferSyntaxUID = syntax
    if codec is None:
        return np.asarray(pixel_array(dataset, correct_unused_bits=False))  # they are cut off by `pixels`
    present = get_decoder(syntax).available_plugins
    plugin = next((p for p in codec.plugins if p in present), None)
    if plugin is None:
        raise ScanError(
            f"'{facts.path.name}' is compressed as {syntax.name}, and none of its decoders "
            f"({', '.join(codec.plugins)}) is installed; install Insula with its dependencies."
        )
    try:
        return np.asarray(pixel_array(dataset, decoding_plugin=plugin))
    except BaseException as error:  # a decoder written in Rust panics outside the tree of ordinary exceptions
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise ScanError(f"'{facts.path.name}' has damaged compressed pixels; export it again.") from error


def _length(dataset: Dataset) -> int:
    """How many bytes of pixels a file holds, 0 for none; they may still be in the file, which is that long."""
    element = dataset.get_item(_PIXELS, keep_deferred=True)
    if isinstance(element, RawDataElement) and element.value is None:
        return int(element.length)
    return 0 if element is None else len(element.value or b"")


def _frames(dataset: Dataset, facts: Header) -> Iterator[bytes]:
    return generate_frames(dataset.PixelData, number_of_frames=facts.frames)


def _check_frame(frame: bytes, facts: Header, syntax: UID, bits: int) -> None:
    name = facts.path.name
    if syntax == RLELossless:
        wrong = codestream.rle(frame, facts.samples * -(-bits // 8))
        if wrong:
            raise ScanError(f"'{name}' has {wrong}; export it again.")
        return
    found = codestream.claim(frame)
    wanted = CODECS[syntax].processes
    if found is None or found.process not in wanted:
        what = "no codestream" if found is None else f"a codestream of another kind ({found.process})"
        raise ScanError(f"'{name}' is said to be compressed as {syntax.name} and holds {what}; export it again.")
    if (found.rows, found.columns, found.samples) != (facts.rows, facts.columns, facts.samples):
        raise ScanError(
            f"'{name}' promises {facts.rows}x{facts.columns} pixels of {facts.samples} and its compressed "
            f"frame claims {found.rows}x{found.columns} of {found.samples}; export it again."
        )
    least = 2 if found.process in ("jpeg C3", "jls") else 1 if found.process == "j2k" else 8
    if not least <= found.bits <= bits:
        raise ScanError(f"'{name}' has a compressed frame of {found.bits} bits in {bits}; export it again.")
    if not found.complete:
        raise ScanError(f"'{name}' has a compressed frame whose tables are damaged; export it again.")
    if found.process in _SEQUENTIAL:
        jpeg_scans.check_frame(frame, name)
    # a lossless JPEG without its end would be decoded without a word, and CharLS works for seconds on a JPEG-LS
    if found.process in ("jpeg C3", "jls") and not frame.rstrip(b"\0").endswith(_JPEG_END):
        raise ScanError(f"'{name}' has a compressed frame that is cut short; copy the file again.")


def _bits(dataset: Dataset, facts: Header) -> int:
    found = codestream.claim(next(_frames(dataset, facts)))
    return found.bits if found is not None else 0


def _twelve_bits(dataset: Dataset, facts: Header) -> NDArray[np.uint16]:
    """JPEG extended frames of 12 bits (T.81, process 4), by GDCM, frame by frame; grey only."""
    import gdcm

    name = facts.path.name
    if facts.samples != 1:
        raise ScanError(f"'{name}' holds colours of 12 bits as JPEG, which is not read; export it uncompressed.")
    stored = int(dataset.get("BitsStored") or 12)
    made = np.empty((facts.frames, facts.rows, facts.columns), np.uint16)
    for k, frame in enumerate(_frames(dataset, facts)):
        fragment = gdcm.Fragment()
        fragment.SetByteStringValue(frame)
        fragments = gdcm.SequenceOfFragments.New()
        fragments.AddFragment(fragment)
        element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
        element.SetValue(fragments.__ref__())
        image = gdcm.Image()
        image.SetNumberOfDimensions(2)
        image.SetDimensions((facts.columns, facts.rows, 1))
        image.SetDataElement(element)
        image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
        kind = gdcm.TransferSyntax.GetTSType(str(JPEGExtended12Bit))
        image.SetTransferSyntax(gdcm.TransferSyntax(kind))
        image.SetPixelFormat(gdcm.PixelFormat(1, 16, stored, stored - 1, 0))
        text = image.GetBuffer()  # the wrapper hands C bytes over as text
        values = np.frombuffer(text.encode("utf-8", "surrogateescape") if text else b"", "<u2")
        if values.size != facts.rows * facts.columns:
            raise ScanError(f"'{name}' has a JPEG frame that cannot be decoded; export it again.")
        made[k] = values.reshape(facts.rows, facts.columns)
    return made
