"""New names for files and folders: pseudonyms for folders, numbers for files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from insula.cohort.deidentify.keys import Key
from insula.core.errors import CohortError
from insula.scans.pictures import natural

_DIGITS = 4


@dataclass(frozen=True)
class Planned:
    """One file of the source: its path below it, and the new folder and number that its copy gets."""

    path: Path
    relative: str
    folder: str
    number: str


def plan(root: Path, key: Key, keep: Iterable[str]) -> list[Planned]:
    """All files below a folder but hidden ones and links, with their new places.

    A folder's name becomes its pseudonym, unless it is one of `keep` (case is not looked at). Files are numbered in
    the natural order of their names, so that a stack of pictures keeps its order; a JSON sidecar gets the number of
    the scan whose name it has. Raises CohortError where there are no files.
    """
    kept = {name.lower() for name in keep}
    found: list[Planned] = []
    for place, folders, names in os.walk(root):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and not (Path(place) / n).is_symlink())
        here = Path(place)
        parts = here.relative_to(root).parts
        folder = "/".join(part if part.lower() in kept else key.name(part) for part in parts)
        files = [here / n for n in names if not n.startswith(".") and not (here / n).is_symlink()]
        found += _numbered(sorted(files, key=lambda path: natural(Path(path.name))), root, folder)
    if not found:
        raise CohortError(f"Folder '{root.name}' holds no files; give the folder of the scans.")
    return sorted(found, key=lambda item: natural(Path(item.relative)))


def new_places(planned: Iterable[Planned], written: Mapping[str, str]) -> dict[str, str]:
    """Old relative path → new one, of files that were written and of the folders that hold them."""
    places: dict[str, str] = {}
    for item in planned:
        if item.relative not in written:
            continue
        old, new = PurePosixPath(item.relative), PurePosixPath(written[item.relative])
        places[old.as_posix()] = new.as_posix()
        places.update(zip([p.as_posix() for p in old.parents], [p.as_posix() for p in new.parents], strict=False))
    return places


def stem(name: str) -> str:
    """A file's name without what its kind adds: `a.nii.gz` and `a.json` are both `a`."""
    for suffix in (".nii.gz", ".nii", ".json"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _numbered(files: list[Path], root: Path, folder: str) -> Iterable[Planned]:
    numbers: dict[str, int] = {}
    last = 0
    used: set[tuple[int, str]] = set()
    digits = max(_DIGITS, len(str(len(files))))
    for path in files:
        name = stem(path.name)
        suffix = path.name[len(name) :].lower()
        number = numbers.get(name, 0)
        if not number or (number, suffix) in used:
            last += 1
            number = numbers[name] = last
        used.add((number, suffix))
        yield Planned(path, path.relative_to(root).as_posix(), folder, f"{number:0{digits}d}")
