"""Sound files of every kind, damaged by chance: bits, lengths, pieces, heads and ends."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import nibabel
import numpy as np
import pydicom.data
import tifffile
from numpy.random import Generator
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID, HTJ2KLossless, JPEGLosslessSV1

DICOM = Path(pydicom.data.__file__).parent / "test_files"
NIFTI = Path(nibabel.__file__).parent / "tests" / "data"
# one of each transfer syntax and byte order that pydicom ships small enough
DICOM_NAMES = (
    "MR_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPGExtended.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle_2frame.dcm",
    "image_dfl.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "CT_small.dcm",
)
EXTREMES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass(frozen=True)
class Mutant:
    """One damaged file. kind: of the sound file; how: what was done to it; sound: index of the file it was made of."""

    number: int
    kind: str
    how: str
    sound: int
    data: bytes


def sound_files() -> list[tuple[str, bytes]]:
    """(kind, bytes) of files that read without error."""
    found = [("dicom", (DICOM / name).read_bytes()) for name in DICOM_NAMES]
    found += [("dicom", _packed(*pair)) for pair in ((JPEGLosslessSV1, "ljpeg"), (HTJ2KLossless, "htj2k"))]
    found += [("nifti", (NIFTI / name).read_bytes()) for name in ("anatomical.nii", "functional.nii")]
    found += [("nii.gz", (NIFTI / name).read_bytes()) for name in ("standard.nii.gz", "example_nifti2.nii.gz")]
    found.append(("nii.gz", gzip.compress((NIFTI / "anatomical.nii").read_bytes(), mtime=0)))
    rng = np.random.default_rng(1)
    grey = np.clip(rng.normal(120, 30, (40, 48)), 0, 255).astype(np.uint8)
    grey[8:24, 8:24] += 60
    colour = np.dstack([grey, grey[::-1], grey[:, ::-1]])
    deep = grey.astype(np.uint16) * 257
    for image in (grey, colour, deep):
        found.append(("png", _saved(Image.fromarray(image), "PNG")))
    found.append(("png", _saved(Image.fromarray(colour).quantize(16), "PNG")))
    found.append(("jpeg", _saved(Image.fromarray(grey), "JPEG")))
    found.append(("jpeg", _saved(Image.fromarray(colour), "JPEG", progressive=True)))
    found.append(("jpeg", _saved(Image.fromarray(colour).convert("CMYK"), "JPEG")))
    found.append(("tiff", _tiff(deep)))
    found.append(("tiff", _tiff(np.stack([grey, grey, grey]), photometric="minisblack", compression="lzw")))
    found.append(("tiff", _tiff(deep.astype(np.float32), tile=(16, 16), compression="zlib")))
    found.append(("tiff", _tiff(np.dstack([deep] * 3), photometric="rgb", byteorder=">")))
    found.append(("tiff", _tiff(deep, bigtiff=True, compression="packbits")))
    volume = rng.normal(0, 100, (5, 24, 24)).astype(np.float32)
    for array in (volume, np.asfortranarray(volume.astype(">i2"))):
        stream = io.BytesIO()
        np.save(stream, array)
        found.append(("npy", stream.getvalue()))
    stream = io.BytesIO()
    np.savez_compressed(stream, array=volume.astype(np.int16), affine=np.eye(4), units="HU")
    found.append(("npz", stream.getvalue()))
    stream = io.BytesIO()
    np.savez(stream, array=volume)
    found.append(("npz", stream.getvalue()))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a/MR_small"), (DICOM / "MR_small.dcm").read_bytes())
        archive.writestr(zipfile.ZipInfo("a/notes.txt"), b"nothing to see")
    found.append(("zip", stream.getvalue()))
    return found


def mutants(count: int, seed: int) -> Iterator[Mutant]:
    """`count` damaged files, the same for the same seed; kinds take turns."""
    files = sound_files()
    kinds = list(dict.fromkeys(kind for kind, _ in files))
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        kind = kinds[number % len(kinds)]
        choice = [i for i, (k, _) in enumerate(files) if k == kind]
        sound = int(rng.choice(choice))
        how = list(WAYS)[int(rng.integers(len(WAYS)))]
        if how == "head of another":
            data = _head_of(files[sound][1], files[int(rng.integers(len(files)))][1], rng)
        else:
            data = bytes(WAYS[how](bytearray(files[sound][1]), rng))
        yield Mutant(number, kind, how, sound, data)


def task(request: dict[str, Any]) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Task of the sandbox: read one file and give a hash of what came out, and the warnings."""
    from insula.scans import read

    volume = read.read_files([Path(request["path"])])
    if volume.array.dtype != np.float32 or volume.array.ndim != 4 or not np.isfinite(volume.array).all():
        raise AssertionError(f"a volume of {volume.array.dtype} {volume.array.shape} that is not finite or not float32")
    if volume.affine.shape != (4, 4) or not np.isfinite(volume.affine).all():
        raise AssertionError("an affine that is not finite")
    digest = hashlib.sha256(np.ascontiguousarray(volume.array).data).hexdigest()
    return {"pixels": digest, "shape": list(volume.array.shape), "warnings": list(volume.warnings)}, ()


def _packed(syntax: UID, codec: str) -> bytes:
    """The small CT slice in a syntax of which pydicom brings no file."""
    made = pydicom.dcmread(DICOM / "CT_small.dcm")
    values = (made.pixel_array.astype(np.int32) + 1024).astype(np.uint16)
    made.PixelRepresentation, made.RescaleIntercept = 0, -2048
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([bytes(getattr(imagecodecs, f"{codec}_encode")(values))])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def _tiff(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def _place(data: bytearray, rng: Generator) -> int:
    """Anywhere, and every second time within the first 600 bytes, where the headers are."""
    most = min(len(data), 600) if rng.random() < 0.5 else len(data)
    return int(rng.integers(max(most, 1)))


def _flip(data: bytearray, rng: Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 17))):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _cut(data: bytearray, rng: Generator) -> bytearray:
    return data[: int(rng.integers(1, len(data)))]


def _cut_a_little(data: bytearray, rng: Generator) -> bytearray:
    return data[: len(data) - int(rng.integers(1, min(len(data), 64)))]


def _remove(data: bytearray, rng: Generator) -> bytearray:
    at, length = _place(data, rng), int(rng.integers(1, 400))
    del data[at : at + length]
    return data or bytearray(b"\0")


def _repeat(data: bytearray, rng: Generator) -> bytearray:
    at, length = _place(data, rng), int(rng.integers(1, 400))
    data[at:at] = data[at : at + length]
    return data


def _number(data: bytearray, rng: Generator) -> bytearray:
    for _ in range(int(rng.integers(1, 4))):
        at, size = _place(data, rng), int(rng.choice([1, 2, 4, 8]))
        value = EXTREMES[int(rng.integers(len(EXTREMES)))] if rng.random() < 0.7 else int(rng.integers(1 << 32))
        raw = (value % (1 << (8 * size))).to_bytes(size, "little" if rng.random() < 0.5 else "big")
        data[at : at + size] = raw
    return data


def _blank(data: bytearray, rng: Generator) -> bytearray:
    at, length = _place(data, rng), int(rng.integers(1, 200))
    value = 255 if rng.random() < 0.3 else 0
    data[at : at + length] = bytes([value]) * len(data[at : at + length])
    return data


def _append(data: bytearray, rng: Generator) -> bytearray:
    return data + rng.bytes(int(rng.integers(1, 300)))


def _shuffle(data: bytearray, rng: Generator) -> bytearray:
    size = int(rng.integers(8, 256))
    one, other = _place(data, rng), _place(data, rng)
    first, second = data[one : one + size], data[other : other + size]
    data[one : one + len(second)], data[other : other + len(first)] = second, first
    return data


def _head_of(data: bytes, other: bytes, rng: Generator) -> bytes:
    length = int(rng.choice([4, 8, 132, 348, 540, 1024]))
    return other[:length] + data[length:]


WAYS: dict[str, Callable[[bytearray, Generator], bytearray]] = {
    "bits": _flip,
    "cut": _cut,
    "cut a little": _cut_a_little,
    "piece removed": _remove,
    "piece repeated": _repeat,
    "number": _number,
    "blanked": _blank,
    "appended": _append,
    "pieces swapped": _shuffle,
    "head of another": _append,
}
