"""Every scan of a cohort read once: what is wrong with it and what is measured on it, by several processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from insula.cohort import burned_in, quality, shown
from insula.cohort.quality import Quality
from insula.core import children, cores
from insula.core.errors import InsulaError
from insula.core.types import Case, Scan, Volume
from insula.scans.pictures import heard
from insula.scans.sandbox import read_files

Progress = Callable[..., Iterable[Any]]
_BLANK = 0.01  # of the full scale; a picture that spans less shows nothing
_ALONE = 200  # files; below, starting processes costs more than they save
_STANDARD_LUMINANCE = 3685  # sum of the luminance table of ITU-T T.81, Annex K


@dataclass(frozen=True)
class Seen:
    """One scan as it was read. error: why it could not be; else the rest is filled in.

    size: width, height, slices; spacing: mm along x, y, z, None for pictures that have none; digest: SHA-256 of the
    voxels; quality: of the middle slice; text: letter-like marks in rows on the first, middle or last slice, whichever
    has most; facts: how the file is made, by which classes may differ without any medicine.
    """

    case: int
    role: str
    error: str = ""
    size: tuple[int, int, int] = (0, 0, 0)
    channels: int = 0
    spacing: tuple[float, float, float] | None = None
    units: str = ""
    warnings: tuple[str, ...] = ()
    blank: bool = False
    digest: bytes = b""
    quality: Quality | None = None
    text: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)


def every(
    cases: Sequence[Case], root: Path, progress: Progress | None = None, workers: int | None = None
) -> Iterator[Seen]:
    """All scans of the cases, in order; unreadable ones say why and raise nothing. One scan per process is in memory.

    workers: processes; by default one per core, none beside this one for less than 200 files.
    """
    work = partial(_case, root)
    numbered = list(enumerate(cases))
    count = _workers(cases) if workers is None else workers
    if count <= 1:
        for item in progress(numbered, "checking", len(cases)) if progress else numbered:
            yield from work(item)
        return
    with children.pool(count) as pool:
        results = pool.map(work, numbered, chunksize=8)
        for found in progress(results, "checking", len(cases)) if progress else results:
            yield from found


def thumbnails(
    scans: Sequence[Sequence[str]], root: Path, progress: Progress | None = None, workers: int | None = None
) -> list[bytes]:
    """A small picture of the middle slice of each scan (its paths below root), b"" where it cannot be read."""
    work = partial(_thumbnail, root)
    count = _cores() if workers is None else workers
    if count <= 1 or sum(map(len, scans)) < _ALONE:
        return [work(paths) for paths in (progress(scans, "drawing", len(scans)) if progress else scans)]
    with children.pool(count) as pool:
        results = pool.map(work, scans, chunksize=4)
        return list(progress(results, "drawing", len(scans)) if progress else results)


def _cores() -> int:
    return min(8, cores.usable())


def _workers(cases: Sequence[Case]) -> int:
    files = sum(len(scan.paths) for case in cases for scan in case.scans.values())
    return 1 if files < _ALONE else _cores()


def _case(root: Path, item: tuple[int, Case]) -> list[Seen]:
    import cv2

    cv2.setNumThreads(1)  # the processes share the cores already
    number, case = item
    return [_scan(root, number, role, scan) for role, scan in case.scans.items()]


def _scan(root: Path, number: int, role: str, scan: Scan) -> Seen:
    try:
        volume = read_files([root / path for path in scan.paths], tiles="overview")
    except InsulaError as error:
        return Seen(number, role, str(error))
    channels, slices, height, width = volume.array.shape
    span = float(np.ptp(volume.array))
    placed = scan.format in ("dicom", "nifti")
    middle = slices // 2
    blank = span <= _BLANK * (volume.full_scale or 0.0) or span == 0.0
    return Seen(
        case=number,
        role=role,
        size=(width, height, slices),
        channels=channels,
        spacing=volume.spacing if placed else None,
        units=volume.units,
        warnings=volume.warnings,
        blank=blank,
        digest=b"" if blank else hashlib.sha256(np.ascontiguousarray(volume.array).data).digest(),
        quality=None if blank else quality.measure(volume, middle),
        text=0 if blank else _text(volume, {0, middle, slices - 1}),
        facts=_facts(root / scan.paths[len(scan.paths) // 2], scan, volume),
    )


def _text(volume: Volume, slices: Iterable[int]) -> int:
    return max(burned_in.find(shown.grey(volume, index, shown.TISSUE)).marks for index in slices)


def _facts(path: Path, scan: Scan, volume: Volume) -> dict[str, str]:
    found = {"file name ends with": "".join(PurePosixPath(scan.paths[0]).suffixes[-2:])[-8:] or "nothing"}
    if scan.format == "jpeg":
        found |= _jpeg(path)
    if scan.format in ("dicom", "nifti"):
        x, _, z = volume.spacing
        found |= {"pixel spacing": f"{x:.2f}", "slice spacing": f"{z:.1f}"}
    if volume.array.shape[1] > 1:
        found["slices"] = str(volume.array.shape[1])
    return found


def _jpeg(path: Path) -> dict[str, str]:
    """Quality (as in the IJG library, from the sum of the luminance table) and mode of a JPEG, from its header."""
    try:
        with heard(), Image.open(path, formats=["JPEG"]) as image:
            table = getattr(image, "quantization", {}).get(0)
            progressive = bool(image.info.get("progressive"))
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return {}
    if not table:
        return {}
    percent = 100.0 * sum(table) / _STANDARD_LUMINANCE
    quality_of = 100.0 - percent / 2 if percent <= 100 else 5000.0 / percent
    return {"JPEG quality": f"{quality_of:.0f}", "JPEG coding": "progressive" if progressive else "baseline"}


def _thumbnail(root: Path, paths: Sequence[str]) -> bytes:
    try:
        return shown.thumbnail(read_files([root / path for path in paths], tiles="overview"))
    except InsulaError:
        return b""
