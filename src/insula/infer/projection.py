"""A volume's heat seen from above, from the front and from the side: the strongest along each line of sight.

Under the heat lies the mean of the scan along the same lines, so that the skull does not hide what is inside. Lines run
along the voxel grid; a tilted gantry is not straightened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from insula.core.types import FloatArray
from insula.infer.overlay import PLAIN, Picture, Style, overlay, with_bar

PLANES: Final = ("from above", "from the front", "from the side")
_LETTERS: Final = (("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I"))  # left, right, top, bottom
_MARGIN: Final = 16
_TALLEST: Final = 1024


def projections(
    pictures: Sequence[FloatArray],
    heat: FloatArray,
    spacing: tuple[float, float, float],
    scale: float,
    style: Style = PLAIN,
) -> Picture:
    """Three planes beside each other with a colour bar, (H, W, 3) bytes; letters beside each say where the patient is.

    pictures: of all slices (H, W) in [0, 1]. heat: on the same grid (S, H, W), NaN and below 0 drawn as none. spacing:
    mm along x, y, z; the planes are drawn true to it. scale: the heat of the brightest colour. style.least: of the
    longest side of a plane.
    """
    ground = np.stack(pictures)
    hot = np.maximum(np.nan_to_num(heat), 0.0)
    x, y, z = spacing
    sides = [n * mm for n, mm in zip(ground.shape, (z, y, x), strict=True)]
    step = min(spacing)  # mm a pixel
    step = max(min(step, max(sides) / style.least) if style.least else step, max(sides) / _TALLEST)
    drawn, plain = [], replace(style, least=0)
    for axis, (rows, columns) in zip((0, 1, 2), ((y, x), (z, x), (z, y)), strict=True):
        mean, most = ground.mean(axis=axis), hot.max(axis=axis)
        if axis:  # slices run upwards, rows of a picture downwards
            mean, most = mean[::-1], most[::-1]
        size = (max(1, round(mean.shape[0] * rows / step)), max(1, round(mean.shape[1] * columns / step)))
        top = float(mean.max())
        drawn.append(overlay(_sized(mean / top if top > 0 else mean, size), _sized(most, size), scale, plain))
    tall = max(plane.shape[0] for plane in drawn)
    framed = [_framed(plane, letters, tall) for plane, letters in zip(drawn, _LETTERS, strict=True)]
    return with_bar(np.hstack(framed), scale, style)


def _sized(plane: FloatArray, size: tuple[int, int]) -> FloatArray:
    return np.asarray(
        cv2.resize(np.ascontiguousarray(plane, np.float32), (size[1], size[0]), interpolation=cv2.INTER_LINEAR),
        np.float32,
    )


def _framed(plane: Picture, letters: tuple[str, str, str, str], tall: int) -> Picture:
    """The plane in the middle of a black frame, with a letter at each side of it."""
    height, width = plane.shape[:2]
    frame = np.zeros((tall + 2 * _MARGIN, width + 2 * _MARGIN, 3), np.uint8)
    top = _MARGIN + (tall - height) // 2
    frame[top : top + height, _MARGIN : _MARGIN + width] = plane
    middle, across = top + height // 2 + 4, _MARGIN + width // 2 - 4
    places = ((3, middle), (_MARGIN + width + 3, middle), (across, top - 4), (across, top + height + 12))
    for letter, place in zip(letters, places, strict=True):
        cv2.putText(frame, letter, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, (200, 200, 200), 1, cv2.LINE_AA)
    return frame
