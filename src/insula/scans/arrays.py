"""NumPy arrays as scans: .npy and .npz, never unpickled, their lengths checked before they are loaded."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from insula.core.errors import InsulaError, LimitError, ScanError
from insula.core.types import Units, Volume
from insula.scans import limits
from insula.scans.limits import LIMITS, Limits
from insula.scans.orient import to_lps

MAGIC = b"\x93NUMPY"
_Readable = IO[bytes]
_ZIP = b"PK\x03\x04"
_BLOCK = 1 << 20
_TEXT = 256  # bytes
_HEADER = 1 << 16
_NAMES = ("array", "image", "volume", "data", "arr_0")


def read(path: Path, allowed: Limits = LIMITS) -> Volume:
    """An array (Y, X), (Z, Y, X) or (C, Z, Y, X) as a Volume; pickled objects are refused.

    An .npz holds the array alone or under the name `array`, and may add `affine` (4, 4) in LPS mm and `units`
    (`HU`, `a.u.`, `RGB`). Integer arrays carry the full scale of their type when it has 8 or 16 bits without sign.
    Raises ScanError for anything else, LimitError for an array that is too large.
    """
    limits.file_size(path, allowed)
    try:
        with path.open("rb") as stream:
            if stream.read(4) == _ZIP:
                return _archive(path, allowed)
            stream.seek(0)
            return _volume(_array(stream, path.name, path.stat().st_size, allowed), path, None, "a.u.")
    except InsulaError:
        raise
    except MemoryError as error:
        raise LimitError(f"'{path.name}' needs more memory than there is; crop or resample it.") from error
    except Exception as error:  # broad: zipfile, zlib, tokenize and numpy all raise on damaged archives
        raise _damaged(path, error) from error


def shape(path: Path, allowed: Limits = LIMITS) -> tuple[int, ...]:
    """The dimensions that an .npy claims, checked against the limits; () for an .npz, whose members are not opened."""
    limits.file_size(path, allowed)
    try:
        with path.open("rb") as stream:
            if stream.read(4) == _ZIP:
                return ()
            stream.seek(0)
            return _claim(stream, path.name, allowed)[0]
    except InsulaError:
        raise
    except Exception as error:  # broad: as in `read`
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ScanError:
    return ScanError(f"'{path.name}' is no readable NumPy array ({limits.reason(error)}); save it again.")


def is_archive(path: Path) -> bool:
    """Whether a zip file is an .npz, which holds .npy members and nothing else."""
    try:
        limits.zip_directory(path)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (ScanError, zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return bool(names) and all(n.endswith(".npy") for n in names)


def members(path: Path, names: Collection[str], allowed: Limits = LIMITS) -> Iterator[tuple[str, NDArray[Any] | None]]:
    """The arrays of an .npz, one after the other: of these names, or the only one; None for the others, left unread.

    `units` is a text. Raises as `read`.
    """
    limits.zip_directory(path, allowed)
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            for info in listed:
                name = info.filename.removesuffix(".npy")
                wanted = name in names or len(listed) == 1
                text = name == "units"
                yield name, _member(archive, info, path, allowed, text) if wanted else None
    except InsulaError:
        raise
    except MemoryError as error:
        raise LimitError(f"'{path.name}' needs more memory than there is; crop or resample it.") from error
    except Exception as error:  # broad: as in `read`
        raise _damaged(path, error) from error


def _archive(path: Path, allowed: Limits) -> Volume:
    limits.zip_directory(path, allowed)
    with zipfile.ZipFile(path) as archive:
        listed = archive.infolist()
        members = {i.filename.removesuffix(".npy"): i for i in listed}
        if len(members) < len(listed):
            raise ScanError(f"'{path.name}' holds two arrays of one name; save it again.")
        extra = {"affine", "units"}
        name = next((n for n in _NAMES if n in members), None)
        if name is None:
            plain = [n for n in members if n not in extra]
            if len(plain) != 1:
                raise ScanError(f"'{path.name}' holds the arrays {sorted(plain)[:6]}; name the scan `array`.")
            name = plain[0]
        array = _member(archive, members[name], path, allowed)
        affine, units = None, "a.u."
        if "affine" in members:
            affine = _member(archive, members["affine"], path, allowed).astype(np.float64)
        if "units" in members:
            units = str(_member(archive, members["units"], path, allowed, text=True))
    return _volume(array, path, affine, units)


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, allowed: Limits, text: bool = False
) -> NDArray[np.generic]:
    limits.zip_member(info, path.name)
    limits.growth(info.compress_size, info.file_size, path.name, allowed)
    with archive.open(info) as packed:
        # the end of the member is read too, since only there its checksum is compared
        return _array(packed, path.name, info.file_size, allowed, text)


def _claim(
    stream: _Readable, name: str, allowed: Limits, text: bool = False
) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, whether the columns come first, and type: what the header promises, before anything is allocated."""
    version = npy.read_magic(stream)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    told = stream.read(2 if version == (1, 0) else 4)
    if (length := int.from_bytes(told, "little")) > _HEADER:  # NumPy would read all of it before it says so
        raise ScanError(f"'{name}' has a header of {length} bytes, and {_HEADER} are the most; save it again.")
    claimed, columns_first, dtype = reader(io.BytesIO(told + stream.read(length)))
    if dtype.hasobject or dtype.kind not in ("U" if text else "biuf"):
        raise ScanError(f"'{name}' holds {dtype} values; only plain numbers are read, never pickled objects.")
    if text and dtype.itemsize > _TEXT:
        raise LimitError(f"'{name}' holds a text of {dtype.itemsize} bytes as its units; write HU, a.u. or RGB.")
    if claimed:
        limits.shape(claimed, name, allowed)
    return claimed, columns_first, dtype


def _array(stream: _Readable, name: str, size: int, allowed: Limits, text: bool = False) -> NDArray[np.generic]:
    sides, columns_first, dtype = _claim(stream, name, allowed, text)
    start, count = stream.tell(), int(np.prod(sides, dtype=np.int64))
    needed = start + count * dtype.itemsize
    if size != needed:
        what = "the file is cut short" if size < needed else "the two have to be equal"
        raise ScanError(f"'{name}' holds {size} bytes and its header promises {needed}; {what}, save it again.")
    raw = np.empty(count * dtype.itemsize, np.uint8)
    view, filled = raw.data, 0
    while block := stream.read(_BLOCK):
        if filled + len(block) > len(raw):
            raise ScanError(f"'{name}' holds more than the {needed} bytes that its header promises; save it again.")
        view[filled : filled + len(block)] = block
        filled += len(block)
    if filled < len(raw):
        raise ScanError(
            f"'{name}' ends after {start + filled} of {needed} bytes; the file is cut short, save it again."
        )
    array: NDArray[np.generic] = raw.view(dtype).reshape(sides, order="F" if columns_first else "C")
    return array


def _volume(array: NDArray[np.generic], path: Path, affine: NDArray[np.float64] | None, units: str) -> Volume:
    if not 2 <= array.ndim <= 4:
        raise ScanError(f"'{path.name}' has {array.ndim} dimensions; give (Y, X), (Z, Y, X) or (C, Z, Y, X).")
    if units not in ("HU", "a.u.", "RGB"):
        raise ScanError(f"'{path.name}' gives the units {units[:20]!r}; known are HU, a.u. and RGB.")
    full = {"bool": 1.0, "uint8": 255.0, "uint16": 65535.0}.get(array.dtype.name)
    with np.errstate(over="ignore"):  # what is beyond single precision is infinite, and said below
        values = array.astype(np.float32, order="C")
    notes = []
    if not np.isfinite(values).all():
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        notes.append("values that are no numbers set to 0")
    values = values.reshape((1,) * (4 - values.ndim) + values.shape)
    place = np.eye(4)
    if affine is not None:
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ScanError(f"'{path.name}' has an affine that maps to no volume; give a (4, 4) matrix in LPS mm.")
        values, place = to_lps(values, affine)
    kind: Units = "HU" if units == "HU" else "RGB" if units == "RGB" else "a.u."
    return Volume(
        array=values,
        affine=place,
        units=kind,
        modality="",
        source=str(path),
        full_scale=None if kind == "HU" else full,
        warnings=tuple(notes),
    )
