"""A captured slice: the picture with the heat over it, a colour bar beside it, and words above it that nobody can miss.

The picture keeps its pixels, each enlarged by a whole number where they are few: words and bar stand beside it, never
on it.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray
from insula.infer.overlay import Style, overlay, with_bar
from insula.report.dicom import places, text
from insula.report.dicom.result import Heat

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX  # has ASCII alone
_AMBER: Final = (255, 191, 64)
_WHITE: Final = (230, 230, 230)
_NOT_PRESENT: Final = "Not called present by the model"
_LEAST: Final = 384  # pixels of the shorter side
_SMALLEST, _LARGEST = 0.45, 1.0  # of the font: 10 to 22 pixels high


def drawn(
    picture: NDArray[np.uint8], plane: FloatArray, heat: Heat, towards: tuple[str, str] | None, slice_said: str
) -> tuple[NDArray[np.uint8], int]:
    """A slice as it is captured, uint8 (H', W', 3), and the number of rows above the picture.

    picture: uint8 (H, W) or (H, W, 3), each pixel drawn as `factor(H, W)`² of them. towards: where its rows and columns
    run, for the letters at its sides. slice_said: which slice it is.
    """
    style = Style(colours=heat.colours)
    times = factor(*picture.shape[:2])
    over = overlay(picture.astype(np.float32) / 255.0, plane, heat.top, style).repeat(times, 0).repeat(times, 1)
    beside = with_bar(over, heat.top, style)
    wide = over.shape[1]
    size = float(np.clip(wide / 512.0, _SMALLEST, _LARGEST))
    words = [(said, _AMBER) for said in text.BURNT]
    if not heat.present:
        words.append((_NOT_PRESENT, _AMBER))
    if heat.finding.isascii():
        words.append((f"Evidence for: {heat.finding}", _WHITE))
    words.append((slice_said, _WHITE))
    room = max(beside.shape[1], *(_wide(said, size) + 8 for said, colour in words if colour == _AMBER))
    band = _band(words, room, size)
    if towards is not None:
        _sides(band, towards, wide, size)
    whole = np.zeros((band.shape[0] + beside.shape[0], room, 3), np.uint8)
    whole[: band.shape[0]] = band
    whole[band.shape[0] :, : beside.shape[1]] = beside
    return whole, band.shape[0]


def factor(rows: int, columns: int) -> int:
    """By which whole number a picture is enlarged, so that its words can be read."""
    return max(1, -(-_LEAST // min(rows, columns)))


def _band(words: list[tuple[str, tuple[int, int, int]]], room: int, size: float) -> NDArray[np.uint8]:
    """Lines of words, one under another, cut at the picture's right edge."""
    step = _step(size)
    band = np.zeros((step * (len(words) + 1), room, 3), np.uint8)
    for line, (said, colour) in enumerate(words, 1):
        cv2.putText(band, said, (4, step * line - step // 4), _FONT, size, colour, 1, cv2.LINE_AA)
    return band


def _sides(band: NDArray[np.uint8], towards: tuple[str, str], wide: int, size: float) -> None:
    """What lies at the picture's left and right edge, in the band's last line."""
    row = band.shape[0] - _step(size) // 4
    cv2.putText(band, places.opposite(towards[0]), (4, row), _FONT, size, _WHITE, 1, cv2.LINE_AA)
    at = max(wide - _wide(towards[0], size) - 4, _wide("M", size) + 8)
    cv2.putText(band, towards[0], (at, row), _FONT, size, _WHITE, 1, cv2.LINE_AA)


def _wide(said: str, size: float) -> int:
    return int(cv2.getTextSize(said, _FONT, size, 1)[0][0])


def _step(size: float) -> int:
    return round(32 * size) + 4
