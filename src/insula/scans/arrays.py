"""NumPy arrays as scans: .npy and .npz, never unpickled, their lengths checked before they are loaded."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from insula.core.errors import InsulaError, LimitError, ScanError
from insula.core.types import Units, Volume
from insula.scans import limits
from insula.scans.limits import LIMITS, Limits
from insula.scans.orient import to_lps

MAGIC = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
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
        raise ScanError(f"'{path.name}' is no readable NumPy array ({limits.reason(error)}); save it again.") from error


def shape(path: Path, allowed: Limits = LIMITS) -> tuple[int, ...]:
    """The dimensions that an .npy claims, checked against the limits; () for an .npz, whose members are not opened."""
    limits.file_size(path, allowed)
    with path.open("rb") as stream:
        if stream.read(4) == _ZIP:
            return ()
        stream.seek(0)
        return _claim(stream, path.name, allowed)[0]


def is_archive(path: Path) -> bool:
    """Whether a zip file is an .npz, which holds .npy members and nothing else."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return bool(names) and all(n.endswith(".npy") for n in names)


def _archive(path: Path, allowed: Limits) -> Volume:
    with zipfile.ZipFile(path) as archive:
        members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()[: allowed.max_files]}
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
    if info.file_size > allowed.max_bytes:
        raise LimitError(f"'{path.name}' inflates to {info.file_size} bytes, more than allowed; crop it.")
    with archive.open(info) as packed:
        start = packed.read(4096)  # the directory of a zip may lie about sizes, so the array's header decides
    _claim(io.BytesIO(start), path.name, allowed, text)
    with archive.open(info) as packed:
        raw = packed.read(info.file_size)
    return _array(io.BytesIO(raw), path.name, len(raw), allowed, text)


def _claim(
    stream: BinaryIO, name: str, allowed: Limits, text: bool = False
) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = npy.read_magic(stream)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    claimed, _, dtype = reader(stream)
    if dtype.hasobject or dtype.kind not in ("U" if text else "biuf"):
        raise ScanError(f"'{name}' holds {dtype} values; only plain numbers are read, never pickled objects.")
    if claimed:
        limits.shape(claimed, name, allowed)
    return claimed, dtype


def _array(stream: BinaryIO, name: str, size: int, allowed: Limits, text: bool = False) -> NDArray[np.generic]:
    sides, dtype = _claim(stream, name, allowed, text)
    needed = stream.tell() + int(np.prod(sides, dtype=np.int64)) * dtype.itemsize
    if size < needed:
        raise ScanError(f"'{name}' holds {size} bytes and its header promises {needed}; the file is cut short.")
    stream.seek(0)
    array: NDArray[np.generic] = npy.read_array(stream, allow_pickle=False)
    return array


def _volume(array: NDArray[np.generic], path: Path, affine: NDArray[np.float64] | None, units: str) -> Volume:
    if not 2 <= array.ndim <= 4:
        raise ScanError(f"'{path.name}' has {array.ndim} dimensions; give (Y, X), (Z, Y, X) or (C, Z, Y, X).")
    if units not in ("HU", "a.u.", "RGB"):
        raise ScanError(f"'{path.name}' gives the units {units[:20]!r}; known are HU, a.u. and RGB.")
    full = {"uint8": 255.0, "uint16": 65535.0}.get(array.dtype.name)
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
