"""The heat of a slide's tiles, each drawn where it was cut out of the slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from insula.core.types import FloatArray
from insula.infer.overlay import PLAIN, Picture, Style, overlay, with_bar
from insula.scans.slide_tiles import Layout

SIDE: Final = 1200
_GLASS: Final = 0.93  # the grey of what no tile shows


def tile_map(
    pictures: Sequence[FloatArray],
    heat: FloatArray,
    numbers: Sequence[int],
    layout: Layout,
    scale: float,
    style: Style = PLAIN,
) -> Picture:
    """The slide's tiles at their places with their heat over them and a colour bar, (H, W, 3) bytes.

    pictures: of all tiles, (h, w, 3) in [0, 1]. heat (S, h', w'): of the tiles whose numbers are given; a tile may have
    one value, 1×1, such as its weight. layout: `scans.slide_tiles.layout` of the scan's attributes. The longer side of
    the slide has `SIDE` pixels; where tiles overlap the later one lies on top. Glass and what was not cut is grey.
    """
    factor = SIDE / max(layout.width, layout.height)
    canvas = np.full(
        (max(1, round(layout.height * factor)), max(1, round(layout.width * factor)), 3), _GLASS * 255, np.uint8
    )
    of = dict(zip(numbers, heat, strict=True))
    plain = Style(style.colours, style.opacity)
    for number, (x, y) in enumerate(layout.corners):
        left, top = round(x * factor), round(y * factor)
        right, bottom = round((x + layout.side) * factor), round((y + layout.side) * factor)
        size = (max(1, bottom - top), max(1, right - left))
        small = cv2.resize(pictures[number], (size[1], size[0]), interpolation=cv2.INTER_AREA)
        none = np.zeros((1, 1), np.float32)
        drawn = overlay(np.asarray(small, np.float32), of.get(number, none), scale, plain)
        a, b = max(0, -top), max(0, -left)  # a grid that is centred on its tissue may begin outside the slide
        target = canvas[max(0, top) : max(0, top + size[0]), max(0, left) : max(0, left + size[1])]
        target[...] = drawn[a : a + target.shape[0], b : b + target.shape[1]]
    return with_bar(canvas, scale, style)
