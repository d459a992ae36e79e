"""Made head CT as the files of a series, and what may be changed in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from insula.cohort.phantom.make import make

Files = list[Dataset]
SIDE, SLICES = 64, 8


def heads(folder: Path, count: int, seed: int) -> list[Files]:
    """The series of made patients whom no model was trained on, each in the order of its slices from below."""
    made = make("haemorrhage-ct", folder, count, seed, SIDE, SLICES)
    return [
        sorted((pydicom.dcmread(path) for path in one.glob("*.dcm")), key=lambda d: d.ImagePositionPatient[2])
        for one in sorted((made / "dicom").iterdir())
    ]


def write(files: Sequence[Dataset], folder: Path) -> Path:
    """Write a series; the names do not tell the order."""
    folder.mkdir(parents=True)
    for k, one in enumerate(files):
        one.save_as(folder / f"{(k * 37) % 101:03d}.dcm", enforce_file_format=True)
    return folder


def stored(one: Dataset) -> NDArray[np.int16]:
    """The numbers of a slice as they stand in its file (rows, columns)."""
    return np.frombuffer(one.PixelData, "<i2").reshape(one.Rows, one.Columns)


def put(one: Dataset, values: NDArray[Any]) -> Dataset:
    """The slice with other numbers, of another size perhaps."""
    one.Rows, one.Columns = values.shape
    one.PixelData = np.clip(np.rint(values), -32768, 32767).astype("<i2").tobytes()
    return one


def filled(files: Files, hu: NDArray[Any]) -> Files:
    """The series with other Hounsfield units (Z, Y, X); slices beyond those that are given are left out."""
    return [put(one, slab + 1024.0) for one, slab in zip(deepcopy(files), hu, strict=False)]


def said(**fields: Any) -> Callable[[Files, int], Files]:
    """A change of header fields alone, the same in every file; None removes."""

    def change(files: Files, number: int) -> Files:
        made = deepcopy(files)
        for one in made:
            for name, value in fields.items():
                if value is None:
                    if name in one:
                        delattr(one, name)
                else:
                    setattr(one, name, value)
        return made

    return change


def shown(change: Callable[[NDArray[np.int16]], NDArray[Any]], **fields: Any) -> Callable[[Files, int], Files]:
    """A change of every slice's numbers; fields: of the header, as in `said`."""

    def whole(files: Files, number: int) -> Files:
        return [put(one, change(stored(one))) for one in said(**fields)(files, number)]

    return whole


def moved(files: Files, positions: Sequence[Sequence[float]]) -> Files:
    """The slices at other places."""
    made = deepcopy(files)
    for one, place in zip(made, positions, strict=True):
        one.ImagePositionPatient = [f"{v:.8g}" for v in place]
    return made


def places(files: Sequence[Dataset]) -> list[list[float]]:
    """Where the slices lie, in mm."""
    return [[float(v) for v in one.ImagePositionPatient] for one in files]
