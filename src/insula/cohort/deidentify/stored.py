"""The stored values of a DICOM picture: bits and bytes beyond the picture cleared, regions blanked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

from insula.cohort.deidentify.find_text import Box

_SPARE = 2  # pixels around a box


def clear_spare(dataset: Dataset, big_endian: bool) -> None:
    """Drop bytes after the last pixel, and clear bits above the stored ones, where old overlays hide (PS3.5, 8.1.1).

    For uncompressed pixel data, in place; the values within the stored bits stay as they are.
    """
    bits, stored = int(dataset.BitsAllocated), int(dataset.get("BitsStored") or dataset.BitsAllocated)
    values = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1)
    values *= int(dataset.get("NumberOfFrames") or 1)
    if str(dataset.get("PhotometricInterpretation", "")) == "YBR_FULL_422":
        values = values // 3 * 2
    length = (values * bits + 7) // 8
    data = bytes(dataset.PixelData[:length])
    spare = bits - stored
    if bits in (8, 16, 32) and spare > 0:
        order = ">" if big_endian and bits > 8 else "<"
        signed = int(dataset.get("PixelRepresentation") or 0) == 1
        raw = np.frombuffer(data, np.dtype(f"{order}{'i' if signed else 'u'}{bits // 8}"))
        low = int(dataset.get("HighBit", stored - 1)) + 1 - stored
        if low == 0:  # sign-extended, or zero, above the stored bits
            data = np.right_shift(np.left_shift(raw, spare), spare).astype(raw.dtype).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)


def blank(dataset: Dataset, boxes: Sequence[Box]) -> None:
    """Blank boxes in every frame and store the picture uncompressed, in place.

    A box is filled with the darkest value of the frame it lies in (the lightest of an inverted one). Colour that was
    stored as YBR becomes RGB.
    """
    array: NDArray[np.generic] = np.array(pixel_array(dataset))
    samples = int(dataset.get("SamplesPerPixel") or 1)
    frames = int(dataset.get("NumberOfFrames") or 1)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    shaped = array.reshape(frames, rows, columns, samples)
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    for frame in shaped:
        fill = _darkest(frame, dataset, photometric)
        for box in boxes:
            top, left = max(box.y - _SPARE, 0), max(box.x - _SPARE, 0)
            frame[top : box.y + box.height + _SPARE, left : box.x + box.width + _SPARE] = fill
    bits = 8 * shaped.dtype.itemsize
    dataset.PixelData = shaped.astype(shaped.dtype.newbyteorder("<")).tobytes() + b"\0" * (shaped.nbytes % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.BitsAllocated = bits
    if samples == 3:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)


def _darkest(frame: NDArray[np.generic], dataset: Dataset, photometric: str) -> NDArray[np.generic]:
    flat = frame.reshape(-1, frame.shape[-1])
    if photometric == "PALETTE COLOR":
        used = np.unique(flat)
        from pydicom.pixels.processing import apply_color_lut

        light = np.asarray(apply_color_lut(used[None], dataset)).reshape(len(used), 3).sum(axis=1)
        return np.asarray(used[int(light.argmin())])
    if photometric == "MONOCHROME1":
        return np.asarray(flat.max(axis=0))
    return np.asarray(flat.min(axis=0))
