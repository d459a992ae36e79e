"""How much of the head the blanking of writing covered, which whoever uses the picture has to know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.cohort.deidentify.find_text import Box, Grey

_BRIGHT = 20  # of 255: above it is no background
_STROKE = 15  # pixels, as where writing is looked for: what is as narrow is no head
_LEAST = 0.03  # of the picture
_SPARE = 2  # pixels that are blanked around a box


def head(frame: Grey) -> NDArray[np.bool_]:
    """The largest bright region of a frame (Y, X) with what it encloses; nothing where it is under 3% of the frame.

    Strokes as narrow as writing are not counted in, so a caption beside the head is no part of it.
    """
    side = max(3, min(_STROKE, min(frame.shape) // 8) | 1)
    bright = (frame > _BRIGHT).astype(np.uint8)
    wide = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    outlines, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    made = np.zeros(frame.shape, np.uint8)
    if outlines:
        cv2.drawContours(made, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return made > 0 if made.mean() >= _LEAST else np.zeros(frame.shape, np.bool_)


def of_head(frames: Iterable[Grey], boxes: Sequence[Box]) -> int:
    """How many pixels of the head the boxes cover, all of them in every frame, as they are blanked."""
    total = 0
    for frame in frames:
        blanked = np.zeros(frame.shape, np.bool_)
        for box in boxes:
            top, left = max(box.y - _SPARE, 0), max(box.x - _SPARE, 0)
            blanked[top : box.y + box.height + _SPARE, left : box.x + box.width + _SPARE] = True
        total += int((head(frame) & blanked).sum())
    return total
