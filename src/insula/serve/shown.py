"""A scan as a reader looks at it: upright in the patient's frame, as slices in a window and as a NIfTI volume.

Nothing of a model is in it: the values are those of the file, so that it can be shown before any prediction.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import nibabel
import numpy as np
from numpy.typing import NDArray

from insula.core.errors import LimitError, UsageError
from insula.core.types import FloatArray, Volume
from insula.infer import heatmap
from insula.infer.overlay import Style, overlay, plain_png, png
from insula.scans import regrid
from insula.serve.view import sides_known

Stored = NDArray[np.int16] | NDArray[np.float32] | NDArray[np.uint8]
_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_START: Final = 352  # bytes of a NIfTI-1 header and its extension flag
_RGB: Final = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_SAMPLED: Final = 1 << 18  # values that percentiles are taken of
_PERCENTILES: Final = (1.0, 99.0)
_FAST: Final = 1  # of gzip: what is sent once is not worth more time
_GZIP: Final = 31  # of zlib: with a header as gzip's, without a time
_BLOCK: Final = 1 << 20
_LONGEST: Final = 16.0  # times as long as wide that pixels are squared at most
_MOST_PIXELS: Final = 1 << 24
Edges = tuple[str, str, str, str]


@dataclass(frozen=True, eq=False)
class Shown:
    """A scan to look at.

    stored: (Z, Y, X), or (Z, Y, X, 3) for colour: int16 where that loses nothing, else float32; uint8 for colour.
    affine: voxel (x, y, z) → LPS mm, its axes perpendicular. window: (centre, width) that it is first shown in.
    """

    stored: Stored
    affine: NDArray[np.float64]
    window: tuple[float, float]

    @property
    def colour(self) -> bool:
        """Whether it is a colour picture, which has no window."""
        return self.stored.ndim == 4

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between neighbouring voxels along x, y, z."""
        x, y, z = (float(np.linalg.norm(self.affine[:3, i])) for i in range(3))
        return x, y, z

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return int(self.stored.nbytes)


def of_volume(volume: Volume) -> Shown:
    """A scan as it was read, made upright where the gantry was tilted. Of several channels the first is shown."""
    colour = volume.units == "RGB" and volume.array.shape[0] >= 3
    upright = regrid.untilt(volume)
    values = _finite(upright.array)
    if colour:
        part = 255.0 / (volume.full_scale or 255.0)
        whole = np.clip(np.rint(values[:3] * np.float32(part)), 0, 255).astype(np.uint8)
        return Shown(np.ascontiguousarray(whole.transpose(1, 2, 3, 0)), upright.affine, (127.5, 255.0))
    return Shown(_stored(values[0], volume.units == "HU"), upright.affine, _first_window(volume))


def facts(volume: Volume) -> dict[str, Any]:
    """What a viewer wants to know of a scan before it has its pixels, as plain data; kept with the study.

    affine: as it was read, sheared for a tilted gantry. range: the 1st and the 99th percentile. extent: least and
    largest value.
    """
    values = volume.array[0].reshape(-1)
    sample = values[:: max(1, len(values) // _SAMPLED)]
    sample = sample[np.isfinite(sample)]
    low, high = (float(v) for v in np.percentile(sample, _PERCENTILES)) if len(sample) else (0.0, 0.0)
    least, most = (float(sample.min()), float(sample.max())) if len(sample) else (0.0, 0.0)
    return {
        "sided": sides_known(volume),
        "affine": [[round(float(v), 6) for v in row] for row in volume.affine[:3]],
        "range": [round(low, 4), round(high, 4)],
        "extent": [round(least, 4), round(most, 4)],
        "full_scale": volume.full_scale,
    }


def edges(affine: NDArray[np.float64]) -> Edges:
    """What lies beyond the left, right, upper and lower edge of a slice's picture: of R, L, A, P, I, S."""
    right, lower = (_letters(affine[:3, axis]) for axis in (0, 1))
    return right[1], right[0], lower[1], lower[0]


def _letters(direction: NDArray[np.float64]) -> tuple[str, str]:
    axis = int(np.abs(direction).argmax())
    ahead, behind = (("L", "R"), ("P", "A"), ("S", "I"))[axis]
    return (ahead, behind) if direction[axis] > 0 else (behind, ahead)


def unsquared(spacing: tuple[float, ...]) -> str:
    """Why the slices of a scan of this spacing (mm along x, y, …) are shown as if pixels were square, else nothing.

    The size of a picture follows from the file's numbers; pixels so long are a wrong number, and would fill the memory.
    """
    short, long = sorted(spacing[:2])
    if long <= _LONGEST * short:
        return ""
    return (
        f"The file says that pixels are {long:g} by {short:g} mm, more than {_LONGEST:g} times as long as wide; slices "
        "are shown as if pixels were square."
    )


@dataclass(frozen=True, eq=False)
class Over:
    """Heat drawn over a slice. heat: (Y, X); scale: the heat of the brightest colour; above: the share of it below
    which none is drawn, 0 to 1. opacity: of the strongest heat.
    """

    heat: FloatArray
    scale: float
    opacity: float = 0.7
    above: float = 0.0


def slice_png(
    shown: Shown, number: int, window: tuple[float, float] | None = None, least: int = 0, over: Over | None = None
) -> bytes:
    """A slice, counted from 0, as PNG of square pixels, the first row and column where the volume's are.

    Pixels that `unsquared` finds too long are shown as if they were square. least: a picture whose shorter side has
    more pixels is shrunk by a whole number, to no fewer than these; 0 leaves it. UsageError for a window that is not
    above 0 wide, IndexError for a slice that the scan does not have, LimitError for a picture of too many pixels.
    """
    size, factor = _picture_size(shown, least)
    plane = shown.stored[number].astype(np.float32)
    if shown.colour:
        picture: FloatArray = plane / np.float32(255.0)
    else:
        centre, width = window or shown.window
        if not width > 0:
            raise UsageError(f"A window {width:g} wide shows nothing; give a width above 0, such as 80.")
        picture = np.clip((plane - np.float32(centre)) / np.float32(width) + np.float32(0.5), 0.0, 1.0)
    square = _resized(picture, size, factor)
    if over is None or not over.scale > 0:
        return plain_png(square)
    heat = np.where(over.heat >= over.above * over.scale, over.heat, np.float32(0.0))
    style = Style(opacity=over.opacity)
    said = f"Heat: {heatmap.CLASS_MAP}. {heatmap.SMOOTHED}"
    return png(overlay(square, heat, over.scale, style), over.scale, said)


def nifti(shown: Shown) -> bytes:
    """The volume as gzipped NIfTI-1; equal volumes give equal bytes."""
    packer = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
    return b"".join([*map(packer.compress, nifti_blocks(shown)), packer.flush()])


def nifti_size(shown: Shown) -> int:
    """Bytes of all `nifti_blocks`."""
    return _START + shown.size


def nifti_blocks(shown: Shown) -> Iterator[bytes]:
    """The volume as NIfTI-1 in RAS mm, its display range the first window, block by block: no copy of it is made."""
    header = nibabel.Nifti1Header()
    depth, height, width = shown.stored.shape[:3]
    kind = _RGB if shown.colour else shown.stored.dtype
    header.set_data_dtype(kind)
    header.set_data_shape((width, height, depth))
    header.set_sform(_LPS_TO_RAS @ shown.affine, code=1)
    header.set_qform(_LPS_TO_RAS @ shown.affine, code=1)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1.0, 0.0)
    header["vox_offset"] = _START
    centre, wide = shown.window
    header["cal_min"], header["cal_max"] = centre - wide / 2, centre + wide / 2
    yield bytes(header.binaryblock) + b"\0" * 4
    little = shown.stored.astype(shown.stored.dtype.newbyteorder("<"), copy=False)
    values = np.ascontiguousarray(little).reshape(-1).view(np.uint8)
    for start in range(0, len(values), _BLOCK):
        yield values[start : start + _BLOCK].tobytes()


def _finite(values: FloatArray) -> FloatArray:
    """The values, with the least of them where there is none."""
    good = np.isfinite(values)
    if good.all():
        return values
    return np.where(good, values, values[good].min(initial=np.float32(np.inf)) if good.any() else np.float32(0.0))


def _stored(values: FloatArray, hounsfield: bool) -> NDArray[np.int16] | NDArray[np.float32]:
    """int16 where that loses nothing; Hounsfield units are whole as scanners store them, so rounding undoes what moving
    a tilted slice by part of a pixel left of fractions.
    """
    whole = np.rint(values)
    fits = float(values.min(initial=0.0)) >= -32768 and float(values.max(initial=0.0)) <= 32767
    if fits and (hounsfield or np.array_equal(whole, values)):
        return np.ascontiguousarray(whole, np.int16)
    return np.ascontiguousarray(values, np.float32)


def _first_window(volume: Volume) -> tuple[float, float]:
    """The file's own window, else the brain's for a CT, else all that the values span between two percentiles."""
    if volume.window is not None and volume.window[1] > 0:
        return volume.window
    if volume.units == "HU":
        return 40.0, 80.0
    if volume.full_scale == 255.0:
        return 127.5, 255.0
    low, high = facts(volume)["range"]
    return ((low + high) / 2, high - low) if high > low else (low, 1.0)


def _picture_size(shown: Shown, least: int) -> tuple[tuple[int, int], int]:
    """Columns and rows of a slice's picture, and how many times it is shrunk. Raises LimitError for too large a one."""
    across, down = (1.0, 1.0) if unsquared(shown.spacing) else shown.spacing[:2]
    height, width = shown.stored.shape[1:3]
    factor = max(1, min(height, width) // least) if least else 1
    step = min(across, down) * factor  # what is shrunk is shrunk alike in both directions
    size = (max(1, round(width * across / step)), max(1, round(height * down / step)))
    if size[0] * size[1] > _MOST_PIXELS:
        raise LimitError(
            f"The slice's picture would have {size[0]} x {size[1]} pixels, more than {_MOST_PIXELS}; ask for a smaller "
            "one (least=1024), or for the volume."
        )
    return size, factor


def _resized(picture: FloatArray, size: tuple[int, int], factor: int) -> FloatArray:
    if size == (picture.shape[1], picture.shape[0]):
        return picture
    how = cv2.INTER_AREA if factor > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=how), np.float32)
