"""The scans of a study that can be looked at, and their pixels, read once and kept for as long as there is room.

Files are only ever decoded in processes of their own (`scans.sandbox`). What is kept goes by the hash of the files, so
that it is never another study's; whether somebody may see it is asked before.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import InsulaError
from insula.serve import intake, view
from insula.serve import shown as shown_scans
from insula.serve.shown import Shown
from insula.serve.store.files import Files
from insula.serve.store.studies import Study, StudyFile
from insula.serve.upload import mend
from insula.serve.view import View

T = TypeVar("T")
_VOLUME_BYTES: Final = 384 << 20
_SENT_BYTES: Final = 128 << 20
_VIEW_BYTES: Final = 128 << 20
_FACTS: Final = 256  # roles of studies whose facts are kept here, because none that fit were kept with the study


@dataclass(frozen=True)
class Scan:
    """One scan of a study. name: in addresses, `ct`, or `ct-2` for the second series under that role.

    key: of its content. shown: `shown.facts`; of a scan that cannot be read `fault` says why and nothing else is known.
    """

    name: str
    role: str
    series: int | None
    key: str
    files: tuple[str, ...]
    modality: str = ""
    units: str = ""
    slices: int = 0
    rows: int = 0
    columns: int = 0
    channels: int = 1
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    window: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    description: str = ""
    shown: Mapping[str, Any] | None = None
    fault: str = ""

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel (x, y, z) → LPS mm, as it was read."""
        return np.vstack([np.asarray((self.shown or {"affine": np.eye(4)[:3]})["affine"], np.float64), [0, 0, 0, 1]])

    @property
    def sided(self) -> bool:
        """Whether the file says where the patient's right is."""
        return bool(self.shown and self.shown["sided"])


class Kept(Generic[T]):
    """What was made last, by key, until it takes more room than there is; what one asks for twice is made once."""

    def __init__(self, most: int, size: Callable[[T], int]) -> None:
        self._most, self._size = most, size
        self._found: OrderedDict[Hashable, T] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is kept under a key, or made now; an error of `make` is raised and nothing is kept."""
        with self._lock:
            mine = self._making.setdefault(key, threading.Lock())
        try:
            with mine:
                with self._lock:
                    if key in self._found:
                        self._found.move_to_end(key)
                        return self._found[key]
                made = make()
                with self._lock:
                    self._found[key] = made
                    self._shrink()
                return made
        finally:
            with self._lock:
                self._making.pop(key, None)

    def _shrink(self) -> None:
        while len(self._found) > 1 and sum(map(self._size, self._found.values())) > self._most:
            self._found.popitem(last=False)


_volumes: Kept[Shown] = Kept(_VOLUME_BYTES, lambda one: one.size)
_sent: Kept[bytes] = Kept(_SENT_BYTES, len)
_views: Kept[View] = Kept(_VIEW_BYTES, lambda one: int(one.slices.nbytes + one.heat.nbytes))
_facts: Kept[Mapping[str, Any]] = Kept(_FACTS, lambda _: 1)


def study_scans(files: Files, study: Study, named: Sequence[StudyFile]) -> tuple[Scan, ...]:
    """The scans of a study, in the order in which its files came; of files that cannot be read one that says so.

    What was found at the upload is believed where it is about the same number of files; else they are read anew.
    """
    made: list[Scan] = []
    for role in dict.fromkeys(one.role for one in named):
        hashes = tuple(one.sha256 for one in named if one.role == role)
        known = study.facts.get(role, {})
        try:
            if known.get("files") != len(hashes):
                known = _facts.get(_key(hashes, None), lambda these=hashes: _described(files, these))  # type: ignore[misc]
        except InsulaError as error:
            made.append(Scan(role, role, None, _key(hashes, None), hashes, fault=str(error)))
            continue
        several = len(known["scans"]) > 1
        made += [_scan(role, hashes, one, several) for one in known["scans"]]
    return tuple(made)


def volume_of(files: Files, scan: Scan) -> Shown:
    """A scan's pixels. Raises as `scans.read`, and as `Files.open` for files that are gone or changed."""

    def read() -> Shown:
        with tempfile.TemporaryDirectory(prefix="insula-") as name:
            paths = _fetched(files, scan.files, Path(name))
            try:
                return shown_scans.of_volume(intake.read_scan(Path(name), paths, scan.series))
            except InsulaError as error:
                raise mend(error, Path(name)) from error

    return _volumes.get(scan.key, read)


def nifti_of(files: Files, scan: Scan, compressed: bool) -> bytes:
    """A scan as NIfTI, compressed or not. Raises as `volume_of`."""
    volume = volume_of(files, scan)
    if not compressed:
        return shown_scans.nifti(volume, compressed=False)
    return _sent.get(scan.key, lambda: shown_scans.nifti(volume))


def view_of(files: Files, sha256: str) -> View:
    """What was kept of a prediction's scan. Raises as `view.unpack` and `Files.open`."""
    return _views.get(sha256, lambda: view.unpack(files.get(sha256)))


def _scan(role: str, hashes: tuple[str, ...], known: Mapping[str, Any], several: bool) -> Scan:
    series = known.get("series")
    x, y, z = known["spacing_mm"]
    window = known["window"]
    attributes = known.get("attributes", {})
    return Scan(
        name=f"{role}-{series}" if several else role,
        role=role,
        series=series,
        key=_key(hashes, series),
        files=hashes,
        modality=known["modality"],
        units=known["units"],
        slices=known["slices"],
        rows=known["rows"],
        columns=known["columns"],
        channels=known["channels"],
        spacing_mm=(x, y, z),
        window=None if window is None else (window[0], window[1]),
        warnings=tuple(known["warnings"]),
        description=str(attributes.get("series_description", "")),
        shown=known["shown"],
    )


def _described(files: Files, hashes: Sequence[str]) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="insula-") as name:
        try:
            return intake.describe(Path(name), _fetched(files, hashes, Path(name)))
        except InsulaError as error:
            raise mend(error, Path(name)) from error


def _fetched(files: Files, hashes: Sequence[str], folder: Path) -> list[Path]:
    """The files under names whose order is theirs."""
    made = [folder / f"file-{number:05d}" for number in range(1, len(hashes) + 1)]
    for path, sha256 in zip(made, hashes, strict=True):
        files.fetch(sha256, path)
    return made


def _key(hashes: Sequence[str], series: int | None) -> str:
    return hashlib.sha256(f"{series}\n{' '.join(hashes)}".encode()).hexdigest()
