"""From the files of a request to a study's files: looked at, told apart, and only then kept.

Everything is read once, in the sandbox, before anything is stored: a damaged, absurd or hostile file is refused with
its number in the request, and nothing of the request stays.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile

from insula.core import scratch
from insula.core.errors import InsulaError, ScanError
from insula.core.types import Volume
from insula.scans import archive, catalogue, header, sandbox
from insula.scans import read as scans
from insula.scans.catalogue import Entry
from insula.serve import blame, shown
from insula.serve.faults import RequestError
from insula.serve.model import LIMITS
from insula.serve.upload import mend, put_down, shown_name

_SHOWN = (
    "study_date",
    "manufacturer",
    "model",
    "kernel",
    "series_description",
    "body_part",
    "slice_thickness",
)
_PACKED = frozenset({"dicom", "dicomdir", "zip", "gzip"})  # kinds of which a file or a folder may hold several series


@dataclass(frozen=True)
class Taken:
    """One file of a study: where it lies now, what it is a part of, and the name it was sent under."""

    path: Path
    role: str
    name: str


@dataclass(frozen=True)
class Intake:
    """All files of a request and what they are. facts: role → what was found, plain data for the record.

    patient: the one id that headers of DICOM files name, "" where none does; it stands in no fact.
    """

    files: tuple[Taken, ...]
    facts: Mapping[str, Any]
    patient: str = field(default="", repr=False)


@contextmanager
def taken(parts: Mapping[str, Sequence[UploadFile]]) -> Iterator[Intake]:
    """The files of a request by role, `scan` for those that the service tells apart, for as long as the block runs.

    Raises RequestError for empty and unknown files, ScanError and LimitError for what cannot be read; where one file is
    to blame, it is named as its sender names it (`blame`).
    """
    with scratch.folder() as home:
        try:
            files: list[Taken] = []
            facts: dict[str, Any] = {}
            for number, (role, sent) in enumerate(parts.items()):
                folder = home / f"part-{number}"
                folder.mkdir()
                try:
                    named = zip(put_down(sent, folder), map(shown_name, sent), strict=True)
                    here = [one for path, shown in named for one in _members(path, shown, folder)]
                    files += [Taken(path, role, shown) for path, shown in here]
                    facts[role] = describe(folder, [path for path, _ in here])
                except InsulaError as error:
                    blamed = blame.of_file(error, role, sent)
                    if blamed is error:  # with the cause that it has
                        raise
                    raise blamed from error
            patient = _one_patient([one.path for one in files])
        except InsulaError as error:
            mend(error, home)
            raise
        yield Intake(tuple(files), facts, patient)


def _members(path: Path, shown: str, folder: Path) -> list[tuple[Path, str]]:
    """A file and its name; of a zip file the scans in it, so that each can be told apart and chosen later.

    Raises ScanError for a zip file that holds no scan.
    """
    if scans.sniff(path) != "zip":
        return [(path, shown)]
    found: list[tuple[Path, str]] = []
    strangers: list[ScanError] = []
    with archive.unpacked(path, LIMITS) as inside:
        for member in scans.files_below(inside, LIMITS):
            try:
                if scans.sniff(member) == "dicomdir":  # an index of files that are here themselves
                    continue
            except ScanError as error:
                strangers.append(error)
                continue
            target = folder / f"{path.name}-{len(found) + 1:05d}"  # the order of names is that of the files
            shutil.copyfile(member, target)
            found.append((target, member.name))
    path.unlink()
    if not found:
        raise strangers[0] if strangers else ScanError(f"'{shown[:60]}' holds no file; pack it again.")
    return found


def _one_patient(paths: Sequence[Path]) -> str:
    """The patient whom the headers of DICOM files name. Raises RequestError for several; their ids are not repeated."""
    ids = set()
    for path in paths:
        if scans.sniff(path) == "dicom":
            with contextlib.suppress(InsulaError):  # what cannot be read was told before
                ids.add(header.read(path, LIMITS).attributes.get("patient_id", ""))
    ids.discard("")
    if len(ids) > 1:
        raise RequestError(
            422, "several_patients", f"The files' headers name {len(ids)} patients; send one study for each patient."
        )
    return ids.pop() if ids else ""


def describe(folder: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """What the files of one role are: their series, or the one scan, with size, spacing and warnings.

    Every scan in them is read once, so that what cannot be read is found here. files: how many these facts are about.
    first: of each of several series the place of its first file among the paths; None within a zip file.
    Series are counted in the order of the files' names. Raises as `scans.read`.
    """
    return {**_described(folder, paths), "files": len(paths)}


def read_scan(folder: Path, paths: Sequence[Path], series: int | None = None) -> Volume:
    """One scan out of the files of one role, as the facts count them: their only one, or one of their series.

    folder holds the paths and nothing else. Decoded in a process of its own. Raises as `scans.read`.
    """
    kinds = {scans.sniff(path) for path in paths}
    where = folder if len(paths) > 1 else paths[0]
    if series is not None:
        return sandbox.shared().read(where, LIMITS, series=str(series))
    if kinds == {"slide"}:
        return sandbox.shared().read_files(paths, LIMITS, "overview")
    if not _PACKED & kinds:
        return sandbox.shared().read_files(paths, LIMITS)
    return sandbox.shared().read(where, LIMITS)


def _described(folder: Path, paths: Sequence[Path]) -> dict[str, Any]:
    kinds = sorted({scans.sniff(path) for path in paths})
    where = folder if len(paths) > 1 else paths[0]
    found: Sequence[Entry] = ()
    if _PACKED & set(kinds):
        with contextlib.suppress(ScanError):  # a zip file of pictures or of one volume
            found = catalogue.of(where, LIMITS)
    if len(found) < 2:
        return {"kinds": kinds, "scans": [_told(read_scan(folder, paths))]}
    places = {path: place for place, path in enumerate(paths)}
    usable = [entry for entry in found if not entry.aside]
    if not usable:
        raise ScanError(f"The files hold no scan but {catalogue.listed(found)}; send the series of slices.")
    return {
        "kinds": kinds,
        "scans": [
            {"series": one.number, "first": places.get(one.files[0]), **_told(read_scan(folder, paths, one.number))}
            for one in usable
        ],
        "aside": [entry.said() for entry in found if entry.aside],
    }


def _told(volume: Volume) -> dict[str, Any]:
    channels, z, y, x = volume.array.shape
    return {
        "modality": volume.modality,
        "slices": z,
        "rows": y,
        "columns": x,
        "channels": channels,
        "units": volume.units,
        "spacing_mm": [round(v, 4) for v in volume.spacing],
        "window": None if volume.window is None else list(volume.window),
        "warnings": list(volume.warnings),
        "attributes": {k: volume.attributes[k] for k in _SHOWN if volume.attributes.get(k)},
        "shown": shown.facts(volume),
    }
