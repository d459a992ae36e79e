"""Motion of the head within a slice's scan: between lines of k-space (MR) or between projections (CT)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corrupt.scale import STORED, each_plane, pixel_mm, stored
from insula.core.types import FloatArray, Volume

Weights = NDArray[np.float64]
_RAMP: Final = 0.15  # of half a turn, before and after the moment of a movement
_OVERSCAN: Final = 0.1


def motion_mr(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Move the head by this many millimetres, and turn it by as many degrees, while lines of k-space are measured.

    Lines are measured one after the other, rows or columns by chance; the head lies elsewhere before one moment of the
    first half and, moved the other way, after one of the second half, so that the middle of k-space, which decides
    where the head is seen, is measured at rest (cf. Shaw et al., MIDL 2019). The magnitude is shown where the scan
    holds no negative values.
    """
    rows, columns = volume.array.shape[2:]
    by_rows = rng.random() < 0.5
    early, late = rng.uniform(0.2, 0.45), rng.uniform(0.55, 0.8)
    place = np.fft.fftfreq(rows)[:, None] if by_rows else np.fft.fftfreq(columns)[None, :]
    time = np.broadcast_to(place + 0.5, (rows, columns))
    heading, turn = rng.uniform(0.0, 2.0 * math.pi), rng.choice((-1.0, 1.0)) * strength
    moves = [
        (_move(volume, strength, heading, turn), (time < early).astype(np.float64)),
        (_move(volume, strength, heading + math.pi, -turn), (time > late).astype(np.float64)),
    ]
    return _measured(volume, moves, 0.0, magnitude=float(volume.array.min()) >= 0.0)


def motion_ct(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Move the head by this many millimetres, and turn it by as many degrees, while projections are measured.

    A projection is the line through the middle of k-space that stands at its angle (the Fourier slice theorem), so
    that all lines at angles after a moment between 30% and 70% of half a turn show the head elsewhere. It gets there
    within 30% of half a turn, and the last 10% are measured twice, before and after, as in an overscan. What is beyond
    the picture is air, or its darkest value.
    """
    rows, columns = volume.array.shape[2:]
    y, x = pixel_mm(volume)
    angle = np.arctan2(np.fft.fftfreq(rows, y)[:, None], np.fft.fftfreq(columns, x)[None, :])
    begin = rng.uniform(0.0, 1.0)
    time = (angle / math.pi - begin) % 1.0
    moment = rng.uniform(0.3, 0.7)
    heading, turn = rng.uniform(0.0, 2.0 * math.pi), rng.choice((-1.0, 1.0)) * strength
    around = STORED[0] if volume.units == "HU" else float(volume.array.min())
    there = np.interp(time, [0.0, moment - _RAMP, moment + _RAMP, 1.0 - _OVERSCAN, 1.0], [0.0, 0.0, 1.0, 1.0, 0.0])
    return _measured(volume, [(_move(volume, strength, heading, turn), there)], around, magnitude=False)


def _move(volume: Volume, mm: float, heading: float, degrees: float) -> NDArray[np.float64]:
    """The matrix (2, 3), in pixels, of a rotation about the middle of the picture and a shift."""
    rows, columns = volume.array.shape[2:]
    y, x = pixel_mm(volume)
    scale = np.diag([x, y])
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = np.linalg.inv(scale) @ np.array([[c, -s], [s, c]]) @ scale  # a rotation in millimetres
    middle = np.array([(columns - 1) / 2, (rows - 1) / 2])
    shift = np.array([mm * math.cos(heading) / x, mm * math.sin(heading) / y])
    return np.column_stack([turned, middle - turned @ middle + shift])


def _measured(
    volume: Volume, moves: list[tuple[NDArray[np.float64], Weights]], around: float, magnitude: bool
) -> Volume:
    """Slices whose k-space was measured of the moved head as far as weights from 0 to 1 say, otherwise at rest."""
    rows, columns = volume.array.shape[2:]

    def one(plane: FloatArray) -> FloatArray:
        rest = plane - np.float32(around)
        still = np.fft.fft2(rest)
        k = still.copy()
        for matrix, weight in moves:
            moved = cv2.warpAffine(rest, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderValue=0.0)
            k += weight * (np.fft.fft2(moved) - still)
        seen = np.fft.ifft2(k)
        found: FloatArray = ((np.abs(seen) if magnitude else seen.real) + around).astype(np.float32)
        return found

    return replace(volume, array=stored(volume, each_plane(volume, one)))


MOTION_MR: Final = Corruption(
    name="motion_mr",
    title="Motion",
    unit="mm and degrees",
    strengths=(0.25, 0.5, 1.0, 2.0, 4.0),
    everyday=2,
    why="60 of 77 children moved by no more than 0.5 mm on average in a scan of the brain; of those that moved more, "
    "11 scans were non-diagnostic (Afacan et al., Pediatric Radiology 46:1728, 2016)",
    change=motion_mr,
    modalities=("MR",),
    units=("a.u.", "RGB"),
)
MOTION_CT: Final = Corruption(
    name="motion_ct",
    title="Motion",
    unit="mm and degrees",
    strengths=(0.25, 0.5, 1.0, 2.0, 4.0),
    everyday=2,
    why="58% of stroke patients hardly move in a CT of the head, 24% mildly to moderately (European "
    "Journal of Radiology 144:109979, 2021); half a millimetre within half a turn is chosen here",
    change=motion_ct,
    modalities=("CT",),
    units=("HU", "a.u."),
)
