"""DICOMDIR: the index of a medium (PS3.3, annex F; PS3.10, 8), followed only within its own folder."""

from __future__ import annotations

from pathlib import Path

from insula.core.errors import LimitError, ScanError
from insula.core.types import Volume
from insula.scans import header
from insula.scans.limits import LIMITS, Limits

_UNUSED = 0  # RecordInUseFlag of a record that is deleted (PS3.3, F.3.2.2)


def read(path: Path, allowed: Limits = LIMITS, series: str | None = None) -> Volume:
    """The one series that an index refers to, as a Volume; `series` picks one of several.

    Raises ScanError for an index without files or one that leads out of its folder, else as `series.read`.
    """
    from dataclasses import replace

    from insula.scans import catalogue

    found, missing = files(path, allowed)
    volume = catalogue.read_one(found, path.name, allowed, series)
    notes = [f"{missing} file{'s' if missing > 1 else ''} of the index missing"] if missing else []
    return replace(volume, source=str(path), warnings=(*volume.warnings, *notes))


def files(path: Path, allowed: Limits = LIMITS) -> tuple[list[Path], int]:
    """The files that the index's records refer to, in its order, and how many of them are missing.

    Names are looked up as they are and without regard to case, as media are copied with either. Raises ScanError when
    a reference is absolute, goes upwards or ends outside the index's folder, and when no file is there.
    """
    dataset = header.load(path, allowed, pixels=False)
    root = path.parent.resolve()
    found: dict[Path, None] = {}
    missing = 0
    for record in dataset.get("DirectoryRecordSequence") or ():
        value = record.get("ReferencedFileID")
        if not value or record.get("RecordInUseFlag") == _UNUSED:
            continue
        parts = [str(value)] if isinstance(value, str) else [str(v) for v in value]
        target = _inside(root, parts, path.name)
        if target is None:
            missing += 1
            continue
        found[target] = None
        if len(found) > allowed.max_files:
            raise LimitError(f"'{path.name}' refers to more than {allowed.max_files} files; give one series' folder.")
    if not found:
        what = f"{missing} file{'s' if missing > 1 else ''} and none of them is there" if missing else "no files"
        raise ScanError(f"'{path.name}' is an index of {what}; copy the whole medium or give the files themselves.")
    return list(found), missing


def _inside(root: Path, parts: list[str], name: str) -> Path | None:
    """A reference's file below the folder, None where it is missing; ScanError where it leads out."""
    pieces = [piece for part in parts for piece in part.split("\\")]
    if any(p in ("", ".", "..") or "/" in p or ":" in p or "\0" in p for p in pieces):
        raise ScanError(f"'{name}' refers to a file outside its folder; it is refused, give the files themselves.")
    place = root
    for piece in pieces:
        step = place / piece
        if not step.exists():
            wanted = piece.casefold().rstrip(".")
            step = next((c for c in _entries(place) if c.name.casefold().partition(";")[0].rstrip(".") == wanted), step)
        place = step
    try:
        real = place.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    if not real.is_relative_to(root):
        raise ScanError(f"'{name}' refers to a link out of its folder; it is refused, give the files themselves.")
    return real if real.is_file() else None


def _entries(place: Path) -> list[Path]:
    return sorted(place.iterdir()) if place.is_dir() else []
