"""What a prediction was made from and where its score lies, kept beside it: slices, heat and their place in mm.

One file for each scan, so that pictures and heat maps can be drawn later without reading the scan or running the
network again. NumPy's own format without pickles.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import ScanError
from insula.core.recipe import Input
from insula.core.types import FloatArray, Heatmap, Volume
from insula.infer import heatmap
from insula.infer.overlay import PLAIN, Style, enlarge, overlay_png, plain_png
from insula.prep.run import prepared_volume
from insula.scans.write import nifti_bytes

MEDIA: Final = "application/x-npz"
_MOST_BYTES: Final = 1 << 30


@dataclass(frozen=True, eq=False)
class View:
    """One scan as it was predicted from.

    slices: (S, H, W) or (S, H, W, 3), what the network's first channel shows, 0 to 255. heat: (K, N, h, w) of the N
    slices that `numbers` names, counted from 0; weights (N,). classes: of the K columns. affine: slice grid → LPS mm.
    sided: whether the file says where the patient's right is, which is then on the left of the pictures.
    """

    slices: NDArray[np.uint8]
    heat: FloatArray
    numbers: tuple[int, ...]
    weights: FloatArray
    classes: tuple[str, ...]
    affine: NDArray[np.float64]
    sided: bool = False

    @property
    def map(self) -> Heatmap:
        """The heat as the rest of the house takes it."""
        return Heatmap(self.heat, self.numbers, self.weights)


def of_scan(prepared: FloatArray, heat: Heatmap, classes: tuple[str, ...], volume: Volume, section: Input) -> View:
    """The view of one scan: prepared (S, C, H, W) and its heat, the scan as read, and its section of the recipe."""
    colour = heatmap.is_colour(section)
    pictures = np.stack([np.round(heatmap.picture(one, colour) * 255.0).astype(np.uint8) for one in prepared])
    whole = section.modality != "SM"  # tiles of a slide have no place in a volume
    affine = prepared_volume(volume, section).affine if whole else np.eye(4)
    sided = whole and sides_known(volume)
    return View(pictures, heat.array[: len(classes)], heat.slices, heat.weights, classes, affine, sided)


def sides_known(volume: Volume) -> bool:
    """Whether the file says where the patient's right is; pictures and slides do not say how the patient lay."""
    placed = volume.modality != "SM" and not np.array_equal(volume.affine, np.eye(4))
    return placed and not any("left and right" in warning for warning in volume.warnings)


def pack(view: View) -> bytes:
    """The view as a file."""
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        slices=view.slices,
        heat=view.heat.astype(np.float16),
        numbers=np.asarray(view.numbers, np.int32),
        weights=view.weights,
        classes=np.asarray(view.classes, np.str_),
        affine=view.affine,
        sided=np.asarray(view.sided),
    )
    return stream.getvalue()


def unpack(data: bytes) -> View:
    """The view in a file of `pack`. Raises ScanError for one that is damaged or claims too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as listed:
            if sum(one.file_size for one in listed.infolist()) > _MOST_BYTES:
                raise ScanError(f"A kept view claims more than {_MOST_BYTES >> 20} MB; predict the study again.")
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return View(
                found["slices"],
                found["heat"].astype(np.float32),
                tuple(int(n) for n in found["numbers"]),
                found["weights"],
                tuple(str(name) for name in found["classes"]),
                found["affine"],
                bool(found["sided"]),
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ScanError("A kept view is damaged; predict the study again.") from error


def slice_png(view: View, number: int, name: str = "", style: Style = PLAIN) -> bytes:
    """A slice, counted from 0, as PNG; with the heat of a class over it and a bar beside it where one is named.

    The brightest colour is the hottest cell of the whole scan. IndexError for a slice that the scan does not have.
    """
    picture = view.slices[number].astype(np.float32) / 255.0
    if not name or number not in view.numbers:
        return plain_png(picture, style)
    k, position = view.classes.index(name), view.numbers.index(number)
    scale = heatmap.class_scale(view.map, k)
    return overlay_png(picture, view.heat[k, position], scale, style, f"Heat: {heatmap.CLASS_MAP}. {heatmap.SMOOTHED}")


def scan_nifti(view: View) -> bytes:
    """The slices as the network saw them, in their place, as gzipped NIfTI."""
    grey = view.slices if view.slices.ndim == 3 else view.slices.mean(axis=3)
    return _nifti(np.asarray(grey, np.float32), view.affine, "prepared scan")


def heat_nifti(view: View, name: str) -> bytes:
    """A class's heat on the grid of `scan_nifti`, as gzipped NIfTI; slices that it does not show are NaN."""
    k, (count, height, width) = view.classes.index(name), view.slices.shape[:3]
    array = np.full((count, height, width), np.nan, np.float32)
    for position, number in enumerate(view.numbers):
        array[number] = enlarge(view.heat[k, position], (height, width))
    return _nifti(array, view.affine, "heat map")


def top(view: View, name: str, count: int) -> tuple[int, ...]:
    """The slices, counted from 0, with most heat of a class, most first."""
    return tuple(view.numbers[p] for p in heatmap.top_slices(view.map, view.classes.index(name), count))


def _nifti(array: FloatArray, affine: NDArray[np.float64], source: str) -> bytes:
    return nifti_bytes(Volume(array[None], affine, "a.u.", "", source))
