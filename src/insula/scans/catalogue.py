"""What series lie in a folder, a DICOMDIR or a zip file, and the choice of one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from insula.core.errors import InsulaError, ScanError
from insula.core.types import Volume
from insula.scans import archive, dicomdir, header, series
from insula.scans.header import Header
from insula.scans.limits import LIMITS, Limits

_MOST_NAMED = 8
_PLANES = ("sagittal", "coronal", "axial")  # by the axis that the normal is closest to: left, posterior, superior
_SAME_PLACE, _UNEVEN = 0.01, 0.1  # mm, as in `place`
_OBLIQUE = 0.9  # cosine of the normal with that axis, below which a stack is called oblique


@dataclass(frozen=True)
class Entry:
    """One series: its number in the list (from 1), UID, files, and what its headers say.

    slices: how many are left after others were set aside; geometry: size, distance and plane in a few words; aside:
    what its files are instead of slices, "" for a scan. description is free text of the scanner's operator.
    """

    number: int
    uid: str
    modality: str
    description: str
    kernel: str
    files: tuple[Path, ...]
    slices: int
    geometry: str
    aside: str

    def said(self) -> str:
        """The entry in a few words, without free text."""
        kernel = f", kernel {self.kernel}" if self.kernel else ""
        what = (
            self.geometry
            if not self.aside
            else f"{len(self.files)} file{'s' if len(self.files) > 1 else ''}, {self.aside}"
        )
        return f"{self.number}: {self.modality or 'no modality'}, {what}{kernel}"


def of(path: Path, allowed: Limits = LIMITS) -> tuple[Entry, ...]:
    """The DICOM series of a folder, a DICOMDIR or a zip file, in the order of their first files; only headers are read.

    Files that are no DICOM pictures are passed over. Raises ScanError when there is no series, LimitError when there
    are too many files. The paths of a zip file's members are gone when this returns.
    """
    from insula.scans import read

    path = Path(path)
    with ExitStack() as stack:
        kind = "folder" if path.is_dir() else read.sniff(path)
        if kind == "dicomdir":
            found = dicomdir.files(path, allowed)[0]
        else:
            folder = stack.enter_context(archive.unpacked(path, allowed)) if kind in ("zip", "gzip") else path
            found = read.files_below(folder, allowed) if folder.is_dir() else [folder]
        return entries(found, path.name, allowed)


def entries(files: Sequence[Path], name: str, allowed: Limits = LIMITS) -> tuple[Entry, ...]:
    """The series of a list of files; what is no readable DICOM picture is passed over. Raises as `of`."""
    from insula.scans import read

    groups: dict[tuple[str, ...], list[Header]] = {}
    refused = ""
    for path in files:
        try:
            if read.sniff(path) != "dicom":
                continue
            facts = header.read(path, allowed)
        except InsulaError as error:
            refused = refused or f" The first of its files: {error}"
            continue  # passed over, as the docstring says: `read` and `insula check` name such files
        key = (facts.attributes.get("study_uid", ""), facts.series_uid or str(path.parent))
        groups.setdefault(key, []).append(facts)
    if not groups:
        raise ScanError(f"'{name}' holds no DICOM series; give a folder of DICOM files.{refused}")
    return tuple(_entry(number, group) for number, group in enumerate(groups.values(), start=1))


def choose(found: Sequence[Entry], wanted: str, name: str) -> Entry:
    """The entry of a number in the list or of a series UID. Raises ScanError when there is none, with the list."""
    for entry in found:
        if wanted == entry.uid or wanted == str(entry.number):
            return entry
    what = "series of the given UID" if "." in wanted else f"series '{wanted[:64]}'"  # a UID tells whose scan it is
    raise ScanError(f"'{name}' holds no {what}, but {listed(found)}; give one of these numbers.")


def listed(found: Sequence[Entry]) -> str:
    """The entries in one line, scans first, at most eight of them."""
    order = sorted(found, key=lambda e: (bool(e.aside), e.number))
    more = f"; and {len(order) - _MOST_NAMED} more" if len(order) > _MOST_NAMED else ""
    return "; ".join(e.said() for e in order[:_MOST_NAMED]) + more


def read_one(files: Sequence[Path], name: str, allowed: Limits = LIMITS, wanted: str | None = None) -> Volume:
    """The one series of a list of DICOM files, or the wanted one of several, as a Volume.

    Raises ScanError with the list of what is there when there are several and none was chosen, else as `series.read`.
    """
    if wanted is not None:
        return series.read(choose(entries(files, name, allowed), wanted, name).files, allowed)
    try:
        return series.read(files, allowed)
    except series.SeveralSeriesError as error:
        found = entries(files, name, allowed)
        raise ScanError(
            f"'{name}' holds {len(found)} series ({listed(found)}); choose one by its number or UID "
            "(--series 1, or series='1')."
        ) from error


def _entry(number: int, group: list[Header]) -> Entry:
    slices = [h for h in group if not h.aside]
    kept = series.ordered(slices)[0] if slices else []
    first = (kept or group)[0]
    asides = Counter(h.aside for h in group if h.aside)
    count = sum(h.frames for h in kept)
    return Entry(
        number=number,
        uid=first.series_uid,
        modality=first.modality,
        description=first.attributes.get("series_description", ""),
        kernel=first.attributes.get("kernel", ""),
        files=tuple(h.path for h in group),
        slices=count,
        geometry=_geometry(kept, count) if kept else "",
        aside="" if kept else ", ".join(sorted(asides)),
    )


def _geometry(kept: list[Header], count: int) -> str:
    """Number, size, distance and plane of the slices in a few words."""
    first = kept[0]
    said = f"{count} slice{'s' if count > 1 else ''} of {first.columns}x{first.rows}"
    if first.orientation is None or first.position is None:
        return said
    along = np.abs(np.cross(first.orientation[:3], first.orientation[3:]))
    plane = _PLANES[int(along.argmax())] + (" oblique" if along.max() < _OBLIQUE else "")
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    gaps = np.diff(sorted(float(np.dot(h.position, normal)) for h in kept if h.position))
    gaps = gaps[gaps > _SAME_PLACE]
    if len(gaps) and gaps.max() - gaps.min() > _UNEVEN:
        said += f" {gaps.min():.1f} to {gaps.max():.1f} mm apart"
    elif len(gaps):
        said += f" {gaps.mean():.1f} mm apart"
    return f"{said}, {plane}"
