"""Thumbnails of scans, kept on disk: the pictures that are compared when duplicates are looked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.types import Case, Volume
from insula.scans.read import PICTURES, read_files

SIDE = 128  # fine enough that neighbouring slices of one head differ, coarse enough that recompression does not show
Slices = Literal["middle", "all"]

_DEPTHS = (0.4, 0.5, 0.6)
_BRAIN = (0.0, 80.0)  # HU; a wider window shows little but the skull
_FLAT = 2.0


@dataclass(frozen=True)
class Print:
    """One thumbnail, uint8 (128, 128), of slice `slice` of a scan; side: rows or columns of the slice, the fewer."""

    slice: int
    side: int
    thumbnail: NDArray[np.uint8]


@dataclass(frozen=True)
class Prints:
    """Thumbnails uint8 (N, 128, 128), mapped from disk, and for each: number of its case, role, slice, side."""

    thumbnails: NDArray[np.uint8]
    cases: NDArray[np.int32]
    roles: tuple[str, ...]
    role: NDArray[np.int16]
    slices: NDArray[np.int32]
    sides: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.cases)

    def place(self, number: int) -> tuple[str, int]:
        """Role and slice of one thumbnail."""
        return self.roles[int(self.role[number])], int(self.slices[number])


class Album:
    """Collects thumbnails in a temporary file (16 KB each), so that memory does not grow with the cohort."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._roles: list[str] = []
        self._rows: list[tuple[int, int, int, int]] = []

    def add(self, case: int, role: str, found: Print) -> None:
        """Keep one thumbnail."""
        if role not in self._roles:
            self._roles.append(role)
        self._file.write(np.ascontiguousarray(found.thumbnail).tobytes())
        self._rows.append((case, self._roles.index(role), found.slice, found.side))

    def close(self) -> Prints:
        """All thumbnails; the file vanishes with them."""
        rows = np.array(self._rows, dtype=np.int32).reshape(-1, 4)
        shape = (len(rows), SIDE, SIDE)
        self._file.flush()
        pictures: NDArray[np.uint8]
        if len(rows):
            pictures = np.memmap(self._file, dtype=np.uint8, mode="r", shape=shape)
        else:
            pictures = np.zeros(shape, dtype=np.uint8)
        self._file.close()  # the map holds the file open
        return Prints(pictures, rows[:, 0], tuple(self._roles), rows[:, 1].astype(np.int16), rows[:, 2], rows[:, 3])


def prints(case: Case, root: Path, role: str, slices: Slices = "middle") -> Iterator[Print]:
    """Thumbnails of all slices of a scan, or of up to three around its middle; none for flat slices.

    Only the files of those slices are read where every slice is a file of its own. Raises InsulaError as `read_files`.
    """
    paths = case.scans[role].paths
    if _per_file(case, role):
        for index in _chosen(len(paths), slices):
            volume = read_files((root / paths[index],), tiles="overview")
            yield from _of(volume, volume.array.shape[1] // 2, index)
    else:
        volume = read_files([root / p for p in paths], tiles="overview")
        for index in _chosen(volume.array.shape[1], slices):
            yield from _of(volume, index, index)


def picture(case: Case, root: Path, role: str, index: int, side: int) -> NDArray[np.uint8]:
    """One slice (-1: the middle) for people: uint8 (H, W), at most `side` pixels a side. Raises as `read_files`."""
    paths = case.scans[role].paths
    if _per_file(case, role):
        volume = read_files((root / paths[index],), tiles="overview")
        grey = _grey(volume, volume.array.shape[1] // 2)
    else:
        grey = _grey(read_files([root / p for p in paths], tiles="overview"), index)
    height, width = grey.shape
    scale = min(1.0, side / max(height, width))
    return _resized(grey, max(1, round(width * scale)), max(1, round(height * scale)))


def thumbnail(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture (H, W) on a scale of 0 to 255 as a thumbnail, stretched to a square."""
    return _resized(grey, SIDE, SIDE)


def _per_file(case: Case, role: str) -> bool:
    scan = case.scans[role]
    return len(scan.paths) > 1 and scan.format in PICTURES | {"dicom"}


def _chosen(count: int, slices: Slices) -> list[int]:
    if slices == "all":
        return list(range(count))
    return sorted({min(count - 1, int(count * depth)) for depth in _DEPTHS})


def _of(volume: Volume, index: int, shown: int) -> Iterator[Print]:
    grey = _grey(volume, index)
    small = thumbnail(grey)
    if float(small.std()) >= _FLAT:
        yield Print(shown, min(grey.shape), small)


def _grey(volume: Volume, index: int) -> NDArray[np.float32]:
    """A slice on a scale of 0 to 255: HU in a brain window, stored integers over their range, others by percentiles."""
    slice_ = volume.array[:, index]
    plain = slice_[0] if len(slice_) == 1 else slice_.mean(axis=0)
    if volume.units == "HU":
        low, high = _BRAIN
    elif volume.full_scale == 255.0:
        low, high = 0.0, 255.0
    elif volume.full_scale == 65535.0:
        low, high = 0.0, max(1.0, float(plain.max()))
    else:
        low, high = (float(v) for v in np.percentile(plain, (0.5, 99.5)))
    if high <= low:
        return np.zeros(plain.shape, dtype=np.float32)
    return np.asarray(np.clip((plain - low) * (255.0 / (high - low)), 0.0, 255.0), dtype=np.float32)


def _resized(grey: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    smaller = grey.shape[0] * grey.shape[1] >= width * height
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    scaled = cv2.resize(np.ascontiguousarray(grey), (width, height), interpolation=how)
    return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)
