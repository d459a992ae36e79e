"""What lies in a folder: every file that may be a scan, told by its header alone, and why the others are not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from insula.core.errors import CohortError, InsulaError, ScanError
from insula.scans import arrays, header, nifti, pictures, read, tiff_header
from insula.scans.header import Header

MASKS = "masks"
_NO_SCANS = frozenset({".json", ".csv", ".txt", ".md", ".yaml", ".yml", ".html", ".pdf", ".tsv", ".parquet"})


@dataclass(frozen=True)
class Found:
    """One readable file: its path relative to the root, its kind (`scans.read.sniff`), and what its header says.

    attributes: facts by which pictures of two classes may differ without any medicine (colour mode, size).
    """

    path: str
    kind: str
    header: Header | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Aside:
    """One file that is no part of the cohort, and the reason in one sentence or a few words."""

    path: str
    reason: str


def survey(root: Path) -> tuple[list[Found], list[Aside]]:
    """All files below a folder, in the natural order of their paths, as usable or set aside; only headers are read.

    Hidden files, text, tables, JSON, DICOMDIR and the folder `masks` are passed over. Raises CohortError for a missing
    folder or one without files.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise CohortError(f"Folder '{root.name}' {what}; give the folder that holds the scans.")
    found: list[Found] = []
    aside: list[Aside] = []
    for path in walk(root):
        relative = path.relative_to(root).as_posix()
        if not _plain(relative):
            aside.append(Aside(shown(relative), "its name is not valid UTF-8; rename it"))
            continue
        try:
            item = look(path, relative)
        except InsulaError as error:
            aside.append(Aside(relative, str(error)))
        else:
            if item.header is not None and item.header.aside:
                aside.append(Aside(relative, f"no slice of a scan ({item.header.aside})"))
            else:
                found.append(item)
    if not found and not aside:
        raise CohortError(f"Folder '{root.name}' holds no files that could be scans; give the folder of the scans.")
    return found, aside


def walk(root: Path) -> Iterator[Path]:
    """The files that could be scans, in the natural order of their paths; links to folders are not followed."""
    paths: list[Path] = []
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name.lower() != MASKS]
        for name in names:
            path = Path(place) / name
            if name.startswith(".") or name.upper() == "DICOMDIR" or path.suffix.lower() in _NO_SCANS:
                continue
            paths.append(path)
    yield from sorted(paths, key=pictures.natural)


def look(path: Path, relative: str) -> Found:
    """One file by its header; InsulaError says why it is no scan."""
    kind = read.sniff(path)
    if kind == "dicom":
        facts = header.read(path)
        size = f"{facts.columns}x{facts.rows}"
        return Found(relative, kind, facts, {"size": size})
    if kind == "dicomdir":
        raise ScanError(f"'{path.name}' is an index of files, no scan; the files it names are looked at themselves.")
    if kind in read.PICTURES:
        picture = pictures.header(path)
        return Found(relative, kind, None, {"size": f"{picture.width}x{picture.height}", "mode": picture.mode})
    if kind == "slide":
        level = tiff_header.directories(path)[0]
        return Found(relative, kind, None, {"size": f"{level.width}x{level.height}"})
    if kind == "nifti":
        return Found(relative, kind, None, {"size": "x".join(str(d) for d in nifti.shape(path))})
    if kind == "npy":
        claimed = arrays.shape(path)
        return Found(relative, kind, None, {"size": "x".join(str(d) for d in claimed)} if claimed else {})
    return Found(relative, kind)


def shown(relative: str) -> str:
    """A file's path as it can be written down: bytes that are no UTF-8 are escaped."""
    return relative if _plain(relative) else ascii(relative)[1:-1]


def _plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
