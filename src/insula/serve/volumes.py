"""The scans of a study that can be looked at, and their pixels, read once and kept for as long as there is room.

Files are only ever decoded in processes of their own (`scans.sandbox`). What is kept goes by the hash of the files, so
that it is never another study's; whether somebody may see it is asked before.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from insula.core import scratch
from insula.core.errors import InsulaError, ScanError
from insula.serve import intake, view
from insula.serve import shown as shown_scans
from insula.serve.faults import RequestError, busy
from insula.serve.kept import Kept
from insula.serve.shown import Shown
from insula.serve.store.files import Files
from insula.serve.store.studies import Study, StudyFile
from insula.serve.upload import mend
from insula.serve.view import View

_VOLUME_BYTES: Final = 384 << 20
_SENT_BYTES: Final = 128 << 20
_VIEW_BYTES: Final = 128 << 20
_FACTS: Final = 256  # roles of studies whose facts are kept here, because none that fit were kept with the study
_WAIT_SECONDS: Final = 10.0  # for a turn; a scan is read in far less
_RETRY_SECONDS: Final = 5


@dataclass(frozen=True)
class Scan:
    """One scan of a study. name: in addresses, `ct`, or `ct-2` for the second series under that role.

    key: of its content. files: SHA-256 of all that lie under its role. first: of the first file of this one of several
    series, "" where that is not known. shown: `shown.facts`; of a scan that cannot be read `fault` says why and nothing
    else is known.
    """

    name: str
    role: str
    series: int | None
    key: str
    files: tuple[str, ...]
    first: str = ""
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

    def is_of(self, hashes: AbstractSet[str]) -> bool:
        """Whether some of these files (SHA-256) are this scan's; of its role's, where its own are not told apart."""
        return self.first in hashes if self.first else not hashes.isdisjoint(self.files)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel (x, y, z) → LPS mm, as it was read."""
        return np.vstack([np.asarray((self.shown or {"affine": np.eye(4)[:3]})["affine"], np.float64), [0, 0, 0, 1]])

    @property
    def sided(self) -> bool:
        """Whether the file says where the patient's right is."""
        return bool(self.shown and self.shown["sided"])


_volumes: Kept[Shown] = Kept(_VOLUME_BYTES, lambda one: one.size)
_sent: Kept[bytes] = Kept(_SENT_BYTES, len)
_views: Kept[View] = Kept(_VIEW_BYTES, lambda one: int(one.slices.nbytes + one.heat.nbytes))
_facts: Kept[Mapping[str, Any]] = Kept(_FACTS, lambda _: 1)
_turns: Final = threading.BoundedSemaphore(2)  # volumes that are loaded or packed at once


def study_scans(files: Files, study: Study, named: Sequence[StudyFile], role: str | None = None) -> tuple[Scan, ...]:
    """The scans of a study, in the order in which its files came; of files that cannot be read one that says so.

    What was found at the upload is believed where it is about the same number of files; else they are read anew. role:
    whose scans alone are asked for. Raises RequestError 503 where too much is being read.
    """
    made: list[Scan] = []
    for one in dict.fromkeys(file.role for file in named if role in (None, file.role)):
        made += _of_role(files, one, tuple(file.sha256 for file in named if file.role == one), study.facts.get(one, {}))
    return tuple(made)


def role_in(name: str) -> str:
    """The role of a scan's name: `ct` of `ct-2`."""
    return name.partition("-")[0]


def volume_of(files: Files, scan: Scan) -> Shown:
    """A scan's pixels. Raises as `scans.read`, as `Files.open` for files that are gone or changed, and RequestError 503
    where too much is being read.
    """

    def read() -> Shown:
        with _turn(), scratch.folder() as name:
            paths = _fetched(files, scan.files, Path(name))
            try:
                return shown_scans.of_volume(intake.read_scan(Path(name), paths, scan.series))
            except InsulaError as error:
                raise mend(error, Path(name)) from error

    return _volumes.get((scan.files, scan.series), read)


def nifti_of(files: Files, scan: Scan) -> bytes:
    """A scan as gzipped NIfTI. Raises as `volume_of`."""
    volume = volume_of(files, scan)

    def packed() -> bytes:
        with _turn():
            return shown_scans.nifti(volume)

    return _sent.get((scan.files, scan.series), packed)


def view_of(files: Files, sha256: str) -> View:
    """What was kept of a prediction's scan. Raises as `view.unpack` and `Files.open`."""
    return _views.get(((sha256,), None), lambda: view.unpack(files.get(sha256)))


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=_WAIT_SECONDS):
        raise busy(_RETRY_SECONDS)
    try:
        yield
    finally:
        _turns.release()


def _of_role(files: Files, role: str, hashes: tuple[str, ...], known: Mapping[str, Any]) -> list[Scan]:
    try:
        if known.get("files") != len(hashes):
            known = _facts.get((hashes, None), lambda: _described(files, hashes))
    except RequestError:
        raise
    except InsulaError as error:  # a file that is missing may come back, so that this is not kept
        known = {"fault": str(error)}
    if "fault" in known:
        return [Scan(role, role, None, _key(hashes, None), hashes, fault=known["fault"])]
    several = len(known["scans"]) > 1
    return [_scan(role, hashes, one, several) for one in known["scans"]]


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
        first="" if known.get("first") is None else hashes[known["first"]],
        modality=known["modality"],
        units=known["units"],
        slices=known["slices"],
        rows=known["rows"],
        columns=known["columns"],
        channels=known["channels"],
        spacing_mm=(x, y, z),
        window=None if window is None else (window[0], window[1]),
        warnings=(*known["warnings"], *filter(None, [shown_scans.unsquared((x, y, z))])),
        description=str(attributes.get("series_description", "")),
        shown=known["shown"],
    )


def _described(files: Files, hashes: Sequence[str]) -> Mapping[str, Any]:
    """What the files are, as plain data; of those that cannot be read why, as `fault`: they will not get better."""
    with _turn(), scratch.folder() as name:
        paths = _fetched(files, hashes, Path(name))
        try:
            return intake.describe(Path(name), paths)
        except ScanError as error:
            return {"fault": str(mend(error, Path(name)))}
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
