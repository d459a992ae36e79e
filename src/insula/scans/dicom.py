"""One DICOM file: pixels checked against their header, decoded, and given their physical meaning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from insula.core.errors import InsulaError, LimitError, ScanError
from insula.core.types import Units, Volume
from insula.scans import header, limits
from insula.scans.codestream import Claim, claim
from insula.scans.header import Header
from insula.scans.limits import LIMITS, Limits
from insula.scans.orient import to_lps
from insula.scans.place import place

# GDCM dies of some damaged JPEG frames with the whole process, so it comes last and alone only for lossless JPEG
_PLUGINS = {
    JPEGBaseline8Bit: ("pillow",),
    JPEGExtended12Bit: ("pillow",),
    JPEGLSLossless: ("pyjpegls", "gdcm"),
    JPEGLSNearLossless: ("pyjpegls", "gdcm"),
    JPEG2000Lossless: ("pylibjpeg", "gdcm"),
    JPEG2000: ("pylibjpeg", "gdcm"),
    RLELossless: ("pylibjpeg", "pydicom"),
}


@dataclass(frozen=True)
class Pixels:
    """The decoded frames of one file: array (C, frames, rows, columns) float32, in HU where the file says so."""

    array: NDArray[np.float32]
    units: Units
    full_scale: float | None
    window: tuple[float, float] | None
    warnings: tuple[str, ...]


def read(path: Path, allowed: Limits = LIMITS) -> Volume:
    """One file as a Volume: a single slice, or the frames of a multi-frame file along Z.

    array (C, Z, Y, X) float32, LPS; units HU for CT with a rescale intercept, RGB for colour, a.u. otherwise.
    Raises ScanError for a file that holds no decodable picture, LimitError for one that asks for too much.
    """
    dataset = header.load(path, allowed)
    facts = header.facts(dataset, path)
    pixels = decode(dataset, facts, allowed)
    notes = list(pixels.warnings)
    if facts.aside:
        notes.append(f"the file is no slice of a scan ({facts.aside})")
    array, affine = pixels.array, np.eye(4)
    positions = header.frame_positions(dataset) if facts.frames > 1 else [facts.position] if facts.position else None
    spacing = facts.spacing or (1.0, 1.0)
    if facts.spacing is None:
        notes.append("no pixel spacing in the header: 1 mm assumed")
    if positions and facts.orientation and len(positions) == array.shape[1]:
        placed = place([p for p in positions if p], facts.orientation, spacing, facts.thickness)
        notes += placed.warnings
        if placed.repeated:
            notes.append(f"{placed.repeated} frames at a repeated position set aside")
        array, affine = to_lps(array[:, list(placed.order)], placed.affine)
    else:
        affine = np.diag([spacing[1], spacing[0], facts.thickness or 1.0, 1.0])
        notes.append("no position or orientation in the header: left and right as shown")
    return Volume(
        array=array,
        affine=affine,
        units=pixels.units,
        modality=facts.modality,
        source=str(path),
        full_scale=pixels.full_scale,
        window=pixels.window,
        attributes=dict(facts.attributes),
        warnings=tuple(notes),
    )


def decode(dataset: Dataset, facts: Header, allowed: Limits = LIMITS) -> Pixels:
    """Decoded frames with rescale, photometry and bit depth applied; the lengths are checked first.

    Raises ScanError when the pixel data are absent, short, contradictory or cannot be decoded; LimitError when the
    header claims more than the limits allow.
    """
    name = facts.path.name
    if facts.aside in (header.INDEX, header.NO_PICTURE):
        raise ScanError(f"'{name}' is no slice of a scan ({facts.aside}); give an image file.")
    if facts.sop_class == header.WHOLE_SLIDE:
        raise ScanError(f"'{name}' is a whole-slide image in tiles, which is not read; export a region as a picture.")
    if facts.frames > allowed.max_files:
        raise LimitError(f"'{name}' claims {facts.frames} frames, more than the {allowed.max_files} allowed; split it.")
    limits.shape((facts.samples, facts.frames, facts.rows, facts.columns), name, allowed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote header values
            _check_length(dataset, facts)
            return _decode(dataset, facts)
    except InsulaError:
        raise
    except MemoryError as error:
        raise LimitError(f"'{name}' needs more memory than there is; read fewer frames.") from error
    except Exception as error:  # broad: each decoder plugin raises exceptions of its own on damaged data
        raise ScanError(f"'{name}' has undecodable pixels ({limits.reason(error)}); export it again.") from error


def _decode(dataset: Dataset, facts: Header) -> Pixels:
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    stored = int(dataset.get("BitsStored") or dataset.get("BitsAllocated") or 16)
    raw = np.asarray(pixel_array(dataset, decoding_plugin=_plugin(dataset)))
    notes: list[str] = []
    if photometric == "PALETTE COLOR":
        raw = np.asarray(apply_color_lut(raw, dataset))
        stored = 8 * raw.dtype.itemsize
    samples = 3 if photometric == "PALETTE COLOR" else facts.samples
    frames = raw.reshape(facts.frames, facts.rows, facts.columns, samples)
    full_scale: float | None = float(2**stored - 1)
    if samples == 3:
        array = np.ascontiguousarray(np.moveaxis(frames.astype(np.float32), 3, 0))
        return Pixels(array, "RGB", full_scale, None, ())
    if samples != 1:
        raise ScanError(f"'{facts.path.name}' has {samples} values a pixel; only 1 (grey) and 3 (colour) are read.")
    grey = frames[..., 0]
    signed = int(dataset.get("PixelRepresentation") or 0) == 1
    if grey.dtype.kind in "iu" and "PixelData" in dataset:
        grey = _own_bits(grey, stored, signed)
    slope, intercept, is_hu = _rescale(dataset, facts)
    values = grey.astype(np.float32)
    if photometric == "MONOCHROME1" and not is_hu:  # a number of Hounsfield units means the same however it is shown
        values = (np.float32(-1.0) if signed else np.float32(full_scale)) - values
    if slope != 1.0 or intercept != 0.0:
        values = values * np.float32(slope) + np.float32(intercept)
    if not np.isfinite(values).all():
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        notes.append("values that are no numbers set to 0")
    if facts.modality == "CT" and not is_hu:
        notes.append("CT without a rescale to Hounsfield units")
    return Pixels(
        values[None], "HU" if is_hu else "a.u.", None if is_hu else full_scale, _window(dataset), tuple(notes)
    )


def _plugin(dataset: Dataset) -> str:
    """The first installed decoder that is trusted with a file's transfer syntax, or "" for pydicom's own choice."""
    meta = getattr(dataset, "file_meta", None)
    syntax = meta.get("TransferSyntaxUID") if meta is not None else None
    wanted = _PLUGINS.get(syntax, ()) if isinstance(syntax, UID) else ()
    present = get_decoder(syntax).available_plugins if wanted and syntax is not None else ()
    return next((name for name in wanted if name in present), wanted[-1] if wanted else "")


def _own_bits(grey: NDArray[np.generic], stored: int, signed: bool) -> NDArray[np.generic]:
    """Only the stored bits, sign-extended: the bits above them may hold old overlays (PS3.5, 8.1.1)."""
    spare = 8 * grey.dtype.itemsize - stored
    if spare <= 0:
        return grey
    whole = grey.astype(np.dtype(f"{'i' if signed else 'u'}{grey.dtype.itemsize}"), copy=False)
    cut: NDArray[np.generic] = np.right_shift(np.left_shift(whole, spare), spare)
    return cut


def _rescale(dataset: Dataset, facts: Header) -> tuple[float, float, bool]:
    """Slope, intercept, and whether the result is in Hounsfield units (PS3.3, C.11.1)."""
    source = dataset
    for sequence in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        groups = dataset.get(sequence)
        inner = groups[0].get("PixelValueTransformationSequence") if groups else None
        if inner:
            source = inner[0]
    if source.get("RescaleIntercept") is None:
        return 1.0, 0.0, False
    slope, intercept = float(source.get("RescaleSlope") or 1.0), float(source.RescaleIntercept)
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0.0:
        raise ScanError(
            f"'{facts.path.name}' rescales by {slope}, {intercept}, which loses the values; export it again."
        )
    kind = str(source.get("RescaleType") or "HU").strip().upper()
    is_hu = facts.modality == "CT" and facts.aside != header.CAPTURE and kind in ("HU", "US", "")
    return slope, intercept, is_hu


def _window(dataset: Dataset) -> tuple[float, float] | None:
    pair: list[float] = []
    for name in ("WindowCenter", "WindowWidth"):
        value = dataset.get(name)
        if value is None or value == "":
            return None
        first = value if isinstance(value, int | float | str) else value[0]
        pair.append(float(first))
    return (pair[0], pair[1]) if np.isfinite(pair).all() and pair[1] > 0 else None


def _check_length(dataset: Dataset, facts: Header) -> None:
    """Compare what the header promises with what the file holds, before a decoder believes either."""
    name = facts.path.name
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        return
    if "PixelData" not in dataset or not dataset.PixelData:
        raise ScanError(f"'{name}' is a DICOM file without pixels; give an image file.")
    bits = int(dataset.get("BitsAllocated") or 0)
    if bits not in (1, 8, 16, 32):
        raise ScanError(f"'{name}' stores {bits} bits a value; only 1, 8, 16 and 32 are read.")
    meta = getattr(dataset, "file_meta", None)
    syntax = meta.get("TransferSyntaxUID") if meta is not None else None
    if syntax is not None and syntax.is_compressed and syntax.is_encapsulated:
        for found in _claims(dataset, facts):
            if (found.rows, found.columns, found.samples) != (facts.rows, facts.columns, facts.samples):
                raise ScanError(
                    f"'{name}' promises {facts.rows}x{facts.columns} pixels of {facts.samples} and its compressed "
                    f"frame claims {found.rows}x{found.columns} of {found.samples}; export it again."
                )
            if not 1 <= found.bits <= bits:
                raise ScanError(f"'{name}' has a compressed frame of {found.bits} bits in {bits}; export it again.")
        return
    values = facts.rows * facts.columns * facts.samples * facts.frames
    if str(dataset.get("PhotometricInterpretation", "")) == "YBR_FULL_422":
        values = values // 3 * 2
    needed = (values * bits + 7) // 8
    if len(dataset.PixelData) < needed:
        raise ScanError(
            f"'{name}' holds {len(dataset.PixelData)} bytes of pixels and its header promises {needed}; "
            "the file is cut short, copy it again."
        )


def _claims(dataset: Dataset, facts: Header) -> Iterator[Claim]:
    for frame in generate_frames(dataset.PixelData, number_of_frames=facts.frames):
        found = claim(frame)
        if found is not None:
            yield found
