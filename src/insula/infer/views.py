"""Test-time augmentation: the same scan mirrored, turned, moved and zoomed, as far as the network was trained on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from insula.core.recipe import Augment
from insula.core.types import FloatArray
from insula.infer.feed import Feed

# Rows of an orthogonal array of two levels (Plackett and Burman 1946): each pair of columns holds all four signs twice,
# so that no change is mistaken for another. Columns: mirror, turn, zoom, shift across, shift down.
_SIGNS: Final = (
    (+1, +1, +1, +1, +1),
    (-1, +1, -1, +1, -1),
    (+1, -1, -1, +1, +1),
    (-1, -1, +1, +1, -1),
    (+1, +1, +1, -1, -1),
    (-1, +1, -1, -1, +1),
    (+1, -1, -1, -1, -1),
    (-1, -1, +1, -1, +1),
)
_PART: Final = 0.5  # of the most that training draws: the mean size of an even draw


@dataclass(frozen=True)
class View:
    """One way to show a picture: mirrored left to right, turned by degrees, zoomed by a factor, moved by shares."""

    mirror: bool = False
    turn: float = 0.0
    zoom: float = 1.0
    across: float = 0.0
    down: float = 0.0


def of_recipe(section: Augment) -> tuple[View, ...]:
    """Eight views at half of what `train.augment` draws at most, fewer where that leaves fewer, none where it is off.

    What training did not do is not done here: a network that never saw a mirrored head says nothing true of one.
    """
    found = [
        View(
            mirror=sign[0] < 0 and section.flip > 0,
            turn=sign[1] * _PART * section.rotate,
            zoom=1.0 + sign[2] * _PART * section.scale,
            across=sign[3] * _PART * section.shift,
            down=sign[4] * _PART * section.shift,
        )
        for sign in _SIGNS
    ]
    return tuple(view for view in dict.fromkeys(found) if view != View())


def show(slices: FloatArray, view: View) -> FloatArray:
    """A view of slices (..., H, W), bicubic within each slice's range; from outside the picture's border is repeated.

    The place of the view that `train.augment_geometry.move` would look up is looked up here: mirrored, turned, zoomed
    and moved. Not by its bilinear rule: that blurs, and networks mind a blur more than a turn (docs/uncertainty.md).
    """
    h, w = slices.shape[-2:]
    angle = math.radians(view.turn)
    cos, sin = math.cos(angle) * view.zoom, math.sin(angle) * view.zoom
    sign = -1.0 if view.mirror else 1.0
    turn = np.array([[cos * sign, -sin * h / w], [sin * sign * w / h, cos]])
    side = np.array([w / 2.0, h / 2.0])
    to_pixels, middle = np.diag(side), side - 0.5
    matrix = to_pixels @ turn @ np.linalg.inv(to_pixels)
    offset = middle - matrix @ middle + 2.0 * side * np.array([view.across, view.down])
    affine = np.concatenate([matrix, offset[:, None]], axis=1)
    flat = np.ascontiguousarray(slices, np.float32).reshape(-1, h, w)
    out = np.empty_like(flat)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    for source, target in zip(flat, out, strict=True):
        cv2.warpAffine(source, affine, (w, h), target, flags, cv2.BORDER_REPLICATE)
        np.clip(target, source.min(), source.max(), out=target)
    return out.reshape(slices.shape)


def feeds(feed: Feed, roles: tuple[str, ...], views: tuple[View, ...], most: int) -> Iterator[Feed]:
    """The views of one case's feed, as many beside each other as keep to `most` slices a role, one at least.

    The views of N inputs are rows v·N to (v + 1)·N of a feed, in the order of the views.
    """
    slices = max(feed[role].shape[0] * feed[role].shape[1] for role in roles)
    together = max(1, most // slices)
    for start in range(0, len(views), together):
        part = views[start : start + together]
        made: Feed = {}
        for name, array in feed.items():
            shown = [show(array, view) if name in roles else array for view in part]
            made[name] = np.concatenate(shown)
        yield made
