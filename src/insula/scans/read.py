"""From a path to a Volume: what the file is, by its content, and the reader that knows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from insula.core.errors import LimitError, ScanError
from insula.core.registry import Registry
from insula.core.types import Volume
from insula.scans import archive, arrays, limits, nifti, tiff_header
from insula.scans.limits import LIMITS, Limits

if TYPE_CHECKING:
    from insula.core.recipe import Tiles

_OURS = {
    "dicom": "insula.scans.dicom:read",
    "nifti": "insula.scans.nifti:read",
    "png": "insula.scans.pictures:read",
    "jpeg": "insula.scans.pictures:read",
    "tiff": "insula.scans.pictures:read",
    "npy": "insula.scans.arrays:read",
    "slide": "insula.scans.slides:read",
    "dicomdir": "insula.scans.dicomdir:read",
    "zip": "insula.scans.archive:read",
    "gzip": "insula.scans.archive:read",
}
READERS = Registry("reader", _OURS)
PICTURES = frozenset({"png", "jpeg", "tiff"})
MOST_SEARCHED = 100_000  # files among which one series may be chosen; the scan itself keeps to the limits
_KNOWN = "known are DICOM, NIfTI, PNG, JPEG, TIFF, slides, NumPy arrays, and zip files of one DICOM series."
Cut: TypeAlias = "Tiles | Literal['overview'] | None"
_MEDIA_DIRECTORY = b"1.2.840.10008.1.3.10"  # as in dicomdir, which takes as long to import as all of pydicom
_VALUE_TYPES = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OW PN SH SL SQ SS ST TM UC UI UL UN UR US UT".split()
)


def read(path: Path, allowed: Limits = LIMITS, tiles: Cut = None, series: str | None = None) -> Volume:
    """One scan as a Volume: a file, or a folder that holds one series, one stack of pictures or one volume file.

    A DICOMDIR or a zip file stands for the files it names or holds. series: the UID of one of several DICOM series, or
    its number in the list of `catalogue.of`; files of other kinds are then passed over.

    tiles: as `read_files`. array (C, Z, Y, X) float32; indices run to the patient's Left, Posterior and Superior where
    the file says where that is. Raises ScanError for what is no readable scan or is more than one, LimitError for what
    asks for too much.
    """
    path = Path(path)
    if not path.is_dir():
        return read_files((path,), allowed, tiles) if series is None else _of_several(path, allowed, series)
    if series is not None:
        from insula.scans import catalogue

        below = files_below(path, replace(allowed, max_files=max(allowed.max_files, MOST_SEARCHED)))
        return replace(catalogue.read_one(below, path.name, allowed, series), source=str(path))
    found: list[Path] = []
    strangers: list[ScanError] = []
    index = False
    for file in files_below(path, allowed):
        try:
            kind = sniff(file)
        except ScanError as error:
            strangers.append(error)
        else:
            index |= kind == "dicomdir"
            found += [file] if kind != "dicomdir" else []
    if not found and index:
        raise ScanError(f"Folder '{path.name}' holds an index and no scans; copy the files it names as well.")
    if strangers and not found:
        first = strangers[0]
        what = "one file, and it is no scan" if len(strangers) == 1 else f"{len(strangers)} files and none is a scan"
        raise type(first)(f"Folder '{path.name}' holds {what}{': ' if len(strangers) == 1 else '. The first: '}{first}")
    if not found:
        raise ScanError(f"Folder '{path.name}' holds no files; give a folder of DICOM files, pictures or a NIfTI file.")
    volume = read_files(found, allowed, tiles, path.name)
    if strangers:
        note = f"{len(strangers)} file{'s' if len(strangers) > 1 else ''} set aside: no scan"
        volume = replace(volume, warnings=(*volume.warnings, note))
    return replace(volume, source=str(path))


def _of_several(path: Path, allowed: Limits, series: str) -> Volume:
    """One series of a DICOMDIR or an archive, or the one that a single DICOM file belongs to."""
    from insula.scans import archive, catalogue, dicomdir

    kind = sniff(path)
    if kind == "dicomdir":
        return dicomdir.read(path, allowed, series)
    if kind in ("zip", "gzip"):
        return archive.read(path, allowed, series)
    return catalogue.read_one((path,), path.name, allowed, series)


def read_files(paths: Sequence[Path], allowed: Limits = LIMITS, tiles: Cut = None, name: str = "") -> Volume:
    """The files of one scan as a Volume: the slices of one DICOM series, a stack of pictures, or one file.

    tiles: the recipe input's section: a whole slide is cut into tiles, each ordinary picture is one tile. Without it
    pictures are a stack and a whole slide is refused; "overview" gives a slide as one small picture to look at.
    Raises as `read`; ScanError when the files are of several kinds, of several series or of several volumes.
    """
    if not paths:
        raise ScanError("No files were given; give the files of one scan.")
    paths = [Path(p) for p in paths]
    if len(paths) == 1 and sniff(paths[0]) == "slide":
        from insula.scans import slides

        return slides.overview(paths[0], allowed) if tiles == "overview" else slides.read(paths[0], allowed, tiles)
    limits.total_size(paths, allowed)
    kinds = sorted({sniff(path) for path in paths})
    if tiles is not None and tiles != "overview" and PICTURES.issuperset(kinds):
        from insula.scans import slide_tiles

        return slide_tiles.from_pictures(paths, tiles, allowed)
    if len(paths) == 1:
        return _reader(kinds[0])(paths[0], allowed)
    if kinds == ["dicom"]:
        from insula.scans import catalogue, series

        return catalogue.read_one(paths, name, allowed) if name else series.read(paths, allowed)
    if PICTURES.issuperset(kinds):
        from insula.scans import pictures

        return pictures.read_stack(paths, allowed)
    if len(kinds) > 1:
        raise ScanError(f"The {len(paths)} files are of several kinds ({', '.join(kinds)}); give those of one scan.")
    raise ScanError(f"There are {len(paths)} {kinds[0]} volumes, each a scan of its own; give the path of one.")


@cache
def _reader(kind: str) -> Callable[[Path, Limits], Volume]:
    """A reader, looked up once: asking the registry searches every installed package for add-ons."""
    return READERS.get(kind)


@cache
def _addons() -> frozenset[str]:
    return frozenset(READERS.names()) - _OURS.keys()


def sniff(path: Path) -> str:
    """The kind of a file by its content: dicom, nifti, png, jpeg, tiff, slide, npy (an add-on's reader by its suffix).

    Raises ScanError when the file is missing, empty, or none of these.
    """
    limits.slide_size(path)
    try:
        kind = _kind(path)
        refused = "" if kind else archive.why_not(path, _start(path))
    except OSError as error:
        raise ScanError(f"'{path.name}' cannot be read ({limits.reason(error)}); check its permissions.") from error
    if kind:
        return kind
    suffix = path.suffix.lower().lstrip(".")
    if suffix in _addons():
        return suffix
    raise ScanError(refused or f"'{path.name}' is no scan by its content; {_KNOWN}")


def files_below(folder: Path, allowed: Limits = LIMITS) -> list[Path]:
    """The visible files of a folder and those below it, sorted; links to folders are not followed."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place) / name for name in sorted(names) if not name.startswith(".")]
        if len(found) > allowed.max_files:
            raise LimitError(f"Folder '{folder.name}' holds more than {allowed.max_files} files; give one series.")
    return found


def _start(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(540)


def _kind(path: Path) -> str:
    start = _start(path)
    if start[128:132] == b"DICM":
        return "dicomdir" if _MEDIA_DIRECTORY in start else "dicom"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start.startswith(tiff_header.MAGIC):
        return "slide" if tiff_header.is_slide(path, LIMITS.max_pixels) else "tiff"
    if start.startswith(arrays.MAGIC) or (start.startswith(b"PK\x03\x04") and arrays.is_archive(path)):
        return "npy"
    if nifti.magic(start) or (start.startswith(b"\x1f\x8b") and _gzip_nifti(path)):
        return "nifti"
    if start.startswith((archive.ZIP, archive.GZIP)) and archive.holds_dicom(path):
        return "zip" if start.startswith(archive.ZIP) else "gzip"
    return "dicom" if _bare_dicom(start, path.stat().st_size) else ""


def _gzip_nifti(path: Path) -> bool:
    try:
        return nifti.magic(nifti.head(path))
    except ScanError:
        return False


def _bare_dicom(start: bytes, size: int) -> bool:
    """Whether bytes begin a DICOM dataset without a preamble: a first element of group 2 or 8 that makes sense."""
    if len(start) < 16:
        return False
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        group = int.from_bytes(start[0:2], order)
        element = int.from_bytes(start[2:4], order)
        if group not in (0x0002, 0x0008) or element > 0x0070:
            continue
        if start[4:6] in _VALUE_TYPES:
            return True
        if int.from_bytes(start[4:8], order) <= min(size, 1024):
            return True
    return False
