"""Occlusion: how much a class's score drops when a part of a slice is covered.

Zeiler and Fergus, ECCV 2014, section 4.3, with the bundle's graph alone. The cover is the slice's own blurred picture
or mean, since a black square is itself something that no training scan showed.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray, Heatmap
from insula.infer.engine import CHUNK
from insula.infer.explainer import Asked, Explained, Patch
from insula.infer.feed import Feed

Box = tuple[slice, slice]
_SAME: Final = 1e-5  # of the prepared picture's values


def occlusion(asked: Asked) -> Explained:
    """The mean drop at each pixel over the patches that cover it, of each slice that is asked for.

    Heat (1, S, H, W) has the pixels of the prepared slice and the unit of what is measured; where covering a patch
    raises the score it is below 0. A patch that the cover does not change costs no run and drops nothing.
    """
    feed, recipe = asked.feed, asked.predictor.bundle.recipe
    alone = recipe.input.unit == "image" and not recipe.fused
    whole = asked.predictor.engine.run(feed)
    before, weights = asked.value(whole.logits), whole.slice_weights
    jobs = _jobs(asked)
    patches = {role: _boxes(feed[role].shape[-2:], asked.patch) for role in asked.views}
    total, done = sum(len(patches[role]) * len(numbers) for role, _, _, numbers in jobs), 0
    found: dict[str, Heatmap] = {}
    for role, scan, first, numbers in jobs:
        maps = np.empty((1, len(numbers), *feed[role].shape[-2:]), np.float32)
        for i, number in enumerate(numbers):
            n, s = (first + number, 0) if alone else (0, first + number)
            one = {name: array[n : n + 1] for name, array in feed.items()}
            maps[0, i] = _of_slice(asked, one, role, s, patches[role], float(before[n]), done, total)
            done += len(patches[role])
        own = [1.0 / len(feed[role])] * len(numbers) if alone else [weights[role][0, first + n] for n in numbers]
        found[scan] = Heatmap(maps, tuple(numbers), np.array(own, np.float32))
    notes = ("heat was measured for some of the slices only",) if asked.slices else ()
    return Explained(found, f"drop of the {asked.measure}", notes)


def _of_slice(
    asked: Asked, feed: Feed, role: str, s: int, boxes: list[Box], before: float, done: int, total: int
) -> FloatArray:
    """The heat (H, W) of slice s of one input."""
    array = feed[role][0]
    near = _near(feed[f"{role}_mask"][0], s, asked.patch.depth)
    cover = {t: _cover(array[t], asked.patch) for t in near}
    drops = np.zeros(len(boxes))
    changed = [i for i, box in enumerate(boxes) if _differs(array, cover, box)]
    together = max(1, CHUNK // array.shape[0])
    for start in range(0, len(changed), together):
        part = changed[start : start + together]
        rows = np.repeat(array[None], len(part), axis=0)
        for row, i in zip(rows, part, strict=True):
            for t in near:
                row[(t, slice(None), *boxes[i])] = cover[t][(slice(None), *boxes[i])]
        given = {name: np.repeat(other, len(part), axis=0) for name, other in feed.items()} | {role: rows}
        drops[part] = before - asked.value(asked.predictor.engine.run(given).logits)
        asked.progress(done + part[-1] + 1, total)
    asked.progress(done + len(boxes), total)
    return _spread(drops, boxes, array.shape[-2:])


def _jobs(asked: Asked) -> list[tuple[str, str, int, list[int]]]:
    """Role, scan, where the scan begins among the role's slices, and which of its slices to look at."""
    found = []
    for role, bags in asked.views.items():
        first = 0
        for b, bag in enumerate(bags):
            scan = role if b == 0 else f"{role}.{b + 1}"
            if not asked.slices or scan in asked.slices:
                found.append((role, scan, first, sorted(asked.slices.get(scan, range(len(bag))))))
            first += len(bag)
    return found


def _boxes(size: tuple[int, ...], patch: Patch) -> list[Box]:
    """Squares on a grid of strides that cover every pixel; the last of a row or column may be cut by the edge."""
    starts = [range(0, max(1, side - patch.size + patch.stride), patch.stride) for side in size]
    return [(slice(y, y + patch.size), slice(x, x + patch.size)) for y in starts[0] for x in starts[1]]


def _near(mask: FloatArray, s: int, depth: int) -> list[int]:
    """Slice s and its neighbours in the same bag, `depth` in all where there are so many; mask (B, S)."""
    own = np.flatnonzero(mask[mask[:, s].argmax()] > 0.5)
    at = int(np.searchsorted(own, s))
    first = int(np.clip(at - (depth - 1) // 2, 0, max(0, len(own) - depth)))
    return [int(t) for t in own[first : first + depth]]


def _cover(picture: FloatArray, patch: Patch) -> FloatArray:
    """What a slice (C, H, W) is covered with."""
    if patch.fill == "mean":
        return np.broadcast_to(picture.mean(axis=(1, 2), keepdims=True), picture.shape).astype(np.float32)
    sigma = patch.size / 2.0
    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for plane in picture])


def _differs(array: FloatArray, cover: dict[int, FloatArray], box: Box) -> bool:
    return any(
        bool(np.abs(array[(t, slice(None), *box)] - c[(slice(None), *box)]).max() > _SAME) for t, c in cover.items()
    )


def _spread(drops: NDArray[np.float64], boxes: list[Box], size: tuple[int, ...]) -> FloatArray:
    heat, times = np.zeros(size), np.zeros(size)
    for drop, box in zip(drops, boxes, strict=True):
        heat[box] += drop
        times[box] += 1
    return np.asarray(heat / times, np.float32)
