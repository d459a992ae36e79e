"""Decoded pixels of one DICOM file, given their physical meaning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID

from insula.core.errors import InsulaError, LimitError, ScanError
from insula.core.types import Units
from insula.scans import attributes, frames, header, limits, syntax, unlocked
from insula.scans.frames import Frame
from insula.scans.header import Header
from insula.scans.limits import LIMITS, Limits

_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOURS = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
_PALETTE = "PALETTE COLOR"
_LONGER = "the file holds more bytes of pixels than its header promises: the rest was ignored"
_HUGE = 1e38  # below the largest float32


@dataclass(frozen=True)
class Pixels:
    """The decoded frames of one file: array (C, frames, rows, columns) float32, in HU where the file says so."""

    array: NDArray[np.float32]
    units: Units
    full_scale: float | None
    window: tuple[float, float] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """The numbers of one file's frames as they are stored, and the channels that they become.

    longer: whether the file holds more bytes of pixels than these frames have.
    """

    channels: int
    values: NDArray[np.generic]
    longer: bool = False


def decode(dataset: Dataset, facts: Header, allowed: Limits = LIMITS, each: Sequence[Frame] = ()) -> Pixels:
    """Decoded frames with rescale, photometry and bit depth applied; the lengths are checked first.

    each: what `frames.of` says of every frame, found here when it is not given. Raises ScanError when the pixel data
    are absent, short, contradictory or cannot be decoded; LimitError when the header claims more than the limits allow.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote header values
        return decode_into(dataset, facts, allowed, each, None)


def decode_into(
    dataset: Dataset,
    facts: Header,
    allowed: Limits,
    each: Sequence[Frame],
    place: NDArray[np.float32] | None,
    found: Stored | None = None,
) -> Pixels:
    """As `decode`, for use by several threads: warnings are the caller's to silence, since that acts on all of them.

    place: where the values may be put, if its shape is (C, frames, rows, columns). found: what `stored` gave of the
    file, if it was asked already.
    """
    found = found or stored(dataset, facts, allowed)
    with _typed_errors(facts.path.name):
        if found.channels == 3:
            made = _colours(found.values, dataset, facts)
        else:
            made = _grey(found.values, dataset, facts, tuple(each) or frames.of(dataset, facts), place)
        return replace(made, warnings=(*made.warnings, _LONGER)) if found.longer else made


def stored(dataset: Dataset, facts: Header, allowed: Limits) -> Stored:
    """The decoded numbers as they are stored, after all checks; raises as `decode`, warnings as `decode_into`."""
    name = facts.path.name
    check(facts, allowed)
    with _typed_errors(name):
        samples = _channels(dataset, facts)
        limits.shape((samples, facts.frames, facts.rows, facts.columns), name, allowed)
        kind = syntax.of(dataset, name)
        syntax.check(dataset, facts, kind)
        longer = syntax.is_longer(dataset, facts, kind)
        return Stored(samples, syntax.decode(dataset, facts, kind), longer)


def unlocked_frames(dataset: Dataset) -> bool:
    """Whether a file is compressed in a way that is decoded without holding Python's lock."""
    written = attributes.text(getattr(dataset, "file_meta", None) or Dataset(), "TransferSyntaxUID")
    return unlocked.decoder(UID(written)) is not None if written else False


def channels(dataset: Dataset, facts: Header) -> int:
    """Channels of the result; ScanError for a kind of picture that is not read, or that has other values a pixel."""
    with _typed_errors(facts.path.name):
        return _channels(dataset, facts)


@contextmanager
def _typed_errors(name: str) -> Iterator[None]:
    try:
        yield
    except InsulaError:
        raise
    except MemoryError as error:
        raise LimitError(f"'{name}' needs more memory than there is; read fewer frames.") from error
    except Exception as error:  # broad: each decoder plugin raises exceptions of its own on damaged data
        raise ScanError(f"'{name}' has undecodable pixels ({limits.reason(error)}); export it again.") from error


def check(facts: Header, allowed: Limits = LIMITS) -> None:
    """Refuse a file by its header alone: without a picture (ScanError) or with too large a one (LimitError)."""
    name = facts.path.name
    if facts.aside in (header.INDEX, header.NO_PICTURE, header.NO_SIZE):
        raise ScanError(f"'{name}' is no slice of a scan ({facts.aside}); give an image file.")
    if facts.sop_class == header.WHOLE_SLIDE:
        raise ScanError(f"'{name}' is a whole-slide image in tiles, which is not read; export a region as a picture.")
    if facts.frames > allowed.max_files:
        raise LimitError(f"'{name}' claims {facts.frames} frames, more than the {allowed.max_files} allowed; split it.")
    limits.shape((1, facts.frames, facts.rows, facts.columns), name, allowed)


def _channels(dataset: Dataset, facts: Header) -> int:
    name, photometric = facts.path.name, _photometric(dataset)
    wanted = 3 if photometric in _COLOURS else 1
    if photometric not in _GREY | _COLOURS | {_PALETTE}:
        raise ScanError(
            f"'{name}' has pixels of the kind {photometric[:16]!r}; read are grey, palette, RGB and full-range YBR "
            "pictures, so export it as one of them."
        )
    if facts.samples not in (1, 3):
        raise ScanError(f"'{name}' has {facts.samples} values a pixel; only 1 (grey) and 3 (colour) are read.")
    if facts.samples != wanted:
        raise ScanError(f"'{name}' is {photometric} with {facts.samples} values a pixel; the header is damaged.")
    return 3 if photometric == _PALETTE else wanted


def _photometric(dataset: Dataset) -> str:
    return attributes.text(dataset, "PhotometricInterpretation") or "MONOCHROME2"


def _stored_bits(dataset: Dataset, default: int) -> int:
    given = attributes.value(dataset, "BitsStored") or attributes.value(dataset, "BitsAllocated")
    return int(given or default)


def _colours(raw: NDArray[np.generic], dataset: Dataset, facts: Header) -> Pixels:
    stored = _stored_bits(dataset, 8)
    if _photometric(dataset) == _PALETTE:
        raw = np.asarray(apply_color_lut(raw, dataset))
        stored = 8 * raw.dtype.itemsize
    shaped = raw.reshape(facts.frames, facts.rows, facts.columns, 3)
    array = np.ascontiguousarray(np.moveaxis(shaped.astype(np.float32), 3, 0))
    return Pixels(array, "RGB", float(2**stored - 1), None, ())


def _grey(
    raw: NDArray[np.generic],
    dataset: Dataset,
    facts: Header,
    each: tuple[Frame, ...],
    place: NDArray[np.float32] | None,
) -> Pixels:
    stored = _stored_bits(dataset, 16)
    signed = int(attributes.value(dataset, "PixelRepresentation") or 0) == 1
    grey = raw.reshape(facts.frames, facts.rows, facts.columns)
    if grey.dtype.kind in "iu" and attributes.present(dataset, "PixelData"):
        packed = syntax.of(dataset, facts.path.name) in syntax.CODECS
        high = stored - 1 if packed else int(attributes.value(dataset, "HighBit") or stored - 1)
        grey = _own_bits(grey, stored, max(high, stored - 1), signed)
    units = _units(facts, each)
    if place is not None and place.shape == (1, *grey.shape):
        values = place[0]
        np.copyto(values, grey, casting="unsafe")
    else:
        values = grey.astype(np.float32)
    top = float(2 ** (stored - signed) - 1)
    if _photometric(dataset) == "MONOCHROME1" and units != "HU":  # a HU means the same however it is shown
        np.subtract(np.float32(-1.0 if signed else top), values, out=values)
    scales = {(f.slope, f.intercept) for f in each}
    if scales != {(1.0, 0.0)}:
        if any(slope != 1.0 for slope, _ in scales):
            values *= np.array([f.slope for f in each], np.float32)[:, None, None]
        values += np.array([f.intercept for f in each], np.float32)[:, None, None]
    notes: list[str] = []
    if not (_stays_finite(grey.dtype, scales) or np.isfinite(values).all()):
        np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        notes.append("values that are no numbers set to 0")
    if facts.modality == "CT" and units != "HU":
        notes.append("CT without a rescale to Hounsfield units")
    full = None if units == "HU" else max(top * slope + intercept for slope, intercept in scales)
    return Pixels(values[None], units, full, next((f.window for f in each if f.window), None), tuple(notes))


def _stays_finite(kind: np.dtype[np.generic], scales: set[tuple[float, float]]) -> bool:
    """Whether no integer of this type can leave the range of float32 by any of the scales."""
    most = 2.0 ** (8 * kind.itemsize)
    return kind.kind in "iub" and all(most * abs(slope) + abs(shift) < _HUGE for slope, shift in scales)


def _units(facts: Header, each: Sequence[Frame]) -> Units:
    """HU for CT whose rescale is to Hounsfield units or to nothing that is named (PS3.3, C.11.1.1.2)."""
    if facts.modality != "CT" or facts.aside == header.CAPTURE:
        return "a.u."
    found = {f.kind in ("HU", "US") for f in each}
    if len(found) > 1:
        raise ScanError(f"'{facts.path.name}' has frames in HU and frames that are not; export them one by one.")
    return "HU" if found == {True} else "a.u."


def _own_bits(grey: NDArray[np.generic], stored: int, high: int, signed: bool) -> NDArray[np.generic]:
    """Only the stored bits below the high bit, sign-extended: the others may hold old overlays (PS3.5, 8.1.1)."""
    width = 8 * grey.dtype.itemsize
    if stored >= width:
        return grey
    whole = grey.astype(np.dtype(f"{'i' if signed else 'u'}{grey.dtype.itemsize}"), copy=False)
    cut: NDArray[np.generic] = np.right_shift(np.left_shift(whole, max(0, width - 1 - high)), width - stored)
    return cut
