"""The series that a prediction was made from, as their files have them: headers in the order of slices, and places."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from insula.core.errors import ScanError
from insula.scans import frames, header, sandbox, series
from insula.scans.frames import Frame
from insula.scans.header import Header
from insula.serve import shown
from insula.serve.models.loaded import LIMITS

_LARGEST: Final = 1 << 16  # bytes of a value that a header is kept with: longer ones are private blocks
_SAME_PLACE: Final = 0.01  # mm, as in `scans.place`


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice as its file has it.

    affine: (column, row, depth) → LPS mm, the slice at depth 0, one step of depth to the next slice. size: rows and
    columns. path, frame: the file and which of its frames.
    """

    affine: NDArray[np.float64]
    size: tuple[int, int]
    path: Path
    frame: int


@dataclass(frozen=True, eq=False)
class Source:
    """One scan of a prediction. scan: as its heat is named (`ct`, `ct.2`).

    headers: in the order of slices, one for each, or the one of a file with several frames; without pixels. planes: one
    for each slice.
    """

    scan: str
    headers: tuple[Dataset, ...]
    planes: tuple[Plane, ...]

    @property
    def study_uid(self) -> str:
        """The study that the series belongs to."""
        return str(self.headers[0].get("StudyInstanceUID", ""))


def sources(scans: Mapping[str, Sequence[Path]]) -> tuple[Source, ...]:
    """The scans that a model took (`by_scan`), in order; what did not come as DICOM is left out.

    Raises ScanError for files that cannot be read.
    """
    found = (_source(scan, paths) for scan, paths in scans.items())
    return tuple(one for one in found if one is not None)


def picture(plane: Plane) -> NDArray[np.uint8]:
    """A slice on its own pixels in the window that its file names, uint8 (H, W), or (H, W, 3) for colour.

    Decoded in a process of its own. Raises as `scans.read`.
    """
    volume = sandbox.shared().read_files([plane.path], LIMITS)
    seen = shown.of_volume(volume)
    rows, columns = np.mgrid[: plane.size[0], : plane.size[1]]
    to_volume = np.linalg.inv(seen.affine) @ plane.affine
    place = [
        np.rint(to_volume[i, 0] * columns + to_volume[i, 1] * rows + to_volume[i, 3]).astype(int) for i in range(3)
    ]
    x, y, z = (np.clip(at, 0, most - 1) for at, most in zip(place, seen.stored.shape[2::-1], strict=True))
    values = seen.stored[z, y, x]
    if seen.colour:
        return np.asarray(values, np.uint8)
    centre, width = seen.window
    grey = np.clip((values.astype(np.float32) - centre) / width + 0.5, 0.0, 1.0)
    return np.asarray(np.rint(grey * 255.0), np.uint8)


def _source(scan: str, paths: Sequence[Path]) -> Source | None:
    facts = [header.read(path, LIMITS) for path in paths if _is_dicom(path)]
    slices = [one for one in facts if not one.aside]
    if not slices:
        return None
    kept = series.ordered(slices)[0]
    if len(kept) > 1 and any(one.frames > 1 for one in kept):  # no slice of theirs can be told by its number alone
        kept = kept[:1]
    datasets = [bare(one.path) for one in kept]
    each = [
        (one, number, frame)
        for one, dataset in zip(kept, datasets, strict=True)
        for number, frame in enumerate(_frames(dataset, one))
    ]
    step = _step([frame for _, _, frame in each])
    planes = tuple(_plane(one, number, frame, step, place) for place, (one, number, frame) in enumerate(each))
    return Source(scan, tuple(datasets), planes)


def _is_dicom(path: Path) -> bool:
    from insula.scans.read import sniff

    return sniff(path) == "dicom"


def bare(path: Path) -> Dataset:
    """A header without pixels and without values that are long, its texts decoded.

    Raises ScanError for values that cannot be read.
    """
    dataset = header.load(path, LIMITS, pixels=False)
    for tag in list(dataset.keys()):
        value = dataset.get_item(tag).value
        if isinstance(value, bytes) and len(value) > _LARGEST:
            del dataset[tag]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote header values
            dataset.decode()
    except Exception as error:  # pydicom converts values when they are asked for, and raises anything
        raise ScanError(
            f"'{path.name}' has a damaged DICOM header ({type(error).__name__}); no objects can be made for it."
        ) from error
    return dataset


def _frames(dataset: Dataset, facts: Header) -> tuple[Frame, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote header values
        return frames.of(dataset, facts)


def _step(found: Sequence[Frame]) -> float:
    """Millimetres from slice to slice: the usual gap along the normal, else the thickness, else 1."""
    placed = [frame for frame in found if frame.position is not None and frame.orientation is not None]
    if len(placed) > 1:
        pose = placed[0].orientation or ()
        normal = np.cross(pose[:3], pose[3:])
        gaps = np.abs(np.diff([float(np.dot(frame.position or (), normal)) for frame in placed]))
        gaps = gaps[gaps > _SAME_PLACE]
        if len(gaps):
            return float(np.median(gaps))
    return next((frame.thickness for frame in found if frame.thickness), 1.0)


def _plane(facts: Header, number: int, frame: Frame, step: float, place: int) -> Plane:
    """Where a slice lies; without a place in its file, where the reader of scans puts it: in order, as it is shown."""
    down, across = frame.spacing or (1.0, 1.0)
    affine = np.eye(4)
    if frame.position is None or frame.orientation is None:
        affine[:3, :3] = np.diag([across, down, frame.thickness or 1.0])
        affine[2, 3] = place * (frame.thickness or 1.0)
    else:
        row, column = np.asarray(frame.orientation[:3]), np.asarray(frame.orientation[3:])
        affine[:3, :3] = np.column_stack([row * across, column * down, np.cross(row, column) * step])
        affine[:3, 3] = frame.position
    return Plane(affine, (facts.rows, facts.columns), facts.path, number)
