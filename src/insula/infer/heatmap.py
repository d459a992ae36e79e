"""Class maps as pictures: where in the scan the evidence for a class lies.

Heat is drawn in a map that stays readable without colour vision (inferno, dark to light), with an opacity that grows
with the heat; where there is no heat, the scan is left as it is. One scale holds for all slices of a scan.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from insula.core.provenance import write_bytes
from insula.core.recipe import Input, Recipe
from insula.core.types import FloatArray, Heatmap, Prediction, Volume
from insula.infer.feed import Views
from insula.prep.run import prepared_volume

OPACITY: Final = 0.7
# inferno (S. van der Walt, N. Smith; public domain), 17 of its 256 colours; the rest is interpolated
_INFERNO: Final = np.array(
    [
        (0, 0, 4), (11, 7, 36), (33, 12, 74), (61, 9, 101), (87, 16, 110), (113, 25, 110), (138, 34, 106),
        (163, 44, 97), (188, 55, 84), (210, 70, 68), (228, 90, 49), (241, 115, 29), (249, 142, 9), (252, 172, 17),
        (249, 203, 53), (242, 234, 105), (252, 255, 164),
    ],
    np.float32,
)  # fmt: skip


def picture(prepared_slice: FloatArray, colour: bool = False) -> FloatArray:
    """A prepared slice (C, H, W) as a picture in [0, 1]: (H, W, 3) for colour, else its first channel (H, W)."""
    shown = np.clip(prepared_slice, 0.0, 1.0)
    return np.ascontiguousarray(shown[:3].transpose(1, 2, 0)) if colour else shown[0]


def is_colour(section: Input) -> bool:
    """Whether a recipe's input gives colour pictures rather than windows of one grey picture."""
    return any(s.name == "colour" and s.params.get("value", "rgb") == "rgb" for s in section.prep)


def class_scale(heat: Heatmap, class_index: int) -> float:
    """The largest heat of a class in the whole scan: what an overlay's brightest colour stands for."""
    return float(heat.array[class_index].max(initial=0.0))


def top_slices(heat: Heatmap, class_index: int, count: int) -> tuple[int, ...]:
    """Positions in the heat map of the slices with most heat for a class, most first; slices without heat left out."""
    totals = heat.array[class_index].sum(axis=(1, 2))
    order = np.argsort(-totals, kind="stable")[:count]
    return tuple(int(i) for i in order if totals[i] > 0)


def peak(heat: Heatmap, class_index: int, position: int) -> tuple[float, float]:
    """Where a slice's heat is strongest: (across from the left, down from the top) as fractions of the picture."""
    plane = heat.array[class_index, position]
    row, column = np.unravel_index(int(plane.argmax()), plane.shape)
    return (float(column) + 0.5) / plane.shape[1], (float(row) + 0.5) / plane.shape[0]


def enlarge(heat: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Heat (h, w) on (height, width) pixels, bilinear, cell areas aligned."""
    plane = np.ascontiguousarray(heat, np.float32)
    return np.asarray(cv2.resize(plane, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def overlay(picture: FloatArray, heat: FloatArray, scale: float) -> NDArray[np.uint8]:
    """Picture (H, W) or (H, W, 3) in [0, 1] with heat (h, w) drawn over it, as (H, W, 3) bytes.

    scale: the heat that gets the brightest colour; 0 or less draws none.
    """
    base = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    ground = np.asarray(np.clip(base, 0.0, 1.0) * 255.0, np.float32)
    if scale > 0:
        level = np.clip(enlarge(heat, (base.shape[0], base.shape[1])) / np.float32(scale), 0.0, 1.0)
        opacity = (OPACITY * level)[..., None]
        ground = np.asarray(ground * (1.0 - opacity) + _colours(level) * opacity, np.float32)
    return np.round(ground).astype(np.uint8)


def overlay_png(picture: FloatArray, heat: FloatArray, scale: float) -> bytes:
    """The overlay with a colour bar (0 below, scale above) to its right, as PNG; nothing is written on the picture.

    What the bar's ends mean stands in the file's text fields `Heat at the bar's top` and `Note`.
    """
    drawn = overlay(picture, heat, scale)
    height = drawn.shape[0]
    width = max(6, drawn.shape[1] // 24)
    ramp = np.linspace(1.0, 0.0, height, dtype=np.float32)[:, None]
    bar = np.repeat(_colours(ramp), width, axis=1).round().astype(np.uint8)
    gap = np.zeros((height, max(2, width // 3), 3), np.uint8)
    text = PngImagePlugin.PngInfo()
    text.add_text("Heat at the bar's top", f"{max(scale, 0.0):.6g}")
    text.add_text("Note", "Research use only; not a medical device.")
    stream = io.BytesIO()
    Image.fromarray(np.hstack([drawn, gap, bar])).save(stream, "PNG", pnginfo=text)
    return stream.getvalue()


def write_case(
    prediction: Prediction,
    prepared: FloatArray | Views,
    folder: Path,
    recipe: Recipe,
    classes: Sequence[str] = (),
    top: int = 3,
) -> list[Path]:
    """Write overlays of the slices with most heat, `slice-<number>-<class>.png`, for each class asked for.

    Where a case has several scans, the name begins with that of the scan (`ct-`, `slide.2-`). classes: the most
    probable class when none is named, of a binary target the positive one. prepared: what was predicted from, the
    slices (S, C, H, W) of the first role's only scan or all scans by role.
    """
    views = {recipe.role: (prepared,)} if isinstance(prepared, np.ndarray) else prepared
    scans = {
        role if i == 0 else f"{role}.{i + 1}": (bag, is_colour(recipe.inputs[role]))
        for role, bags in views.items()
        for i, bag in enumerate(bags)
    }
    most = prediction.classes[int(np.argmax(prediction.probabilities))]
    # a binary target has one score: only its positive class has heat, whichever answer is more probable
    chosen = list(classes) or [recipe.target.positive if recipe.target.kind == "binary" else most]
    written = []
    for scan, heat in prediction.heatmaps.items():
        slices, colour = scans[scan]
        for name in chosen:
            k = prediction.classes.index(name)
            scale = class_scale(heat, k)
            for position in top_slices(heat, k, top):
                number = heat.slices[position]
                data = overlay_png(picture(slices[number], colour), heat.array[k, position], scale)
                first = f"{_file_name(scan)}-" if len(scans) > 1 else ""
                path = folder / f"{first}slice-{number:04d}-{_file_name(name)}.png"
                write_bytes(path, data)
                written.append(path)
    return written


def heat_volume(heat: Heatmap, class_index: int, volume: Volume, section: Input) -> Volume:
    """A class's heat as a volume in the scan's own space: on the prepared grid, with its place in mm."""
    grid = prepared_volume(volume, section)
    _, z, y, x = grid.array.shape
    array = np.zeros((1, z, y, x), np.float32)
    for position, number in enumerate(heat.slices):
        array[0, number] = enlarge(heat.array[class_index, position], (y, x))
    return replace(
        grid, array=array, units="a.u.", modality="", source="heat map", full_scale=None, window=None, attributes={}
    )


def _colours(level: FloatArray) -> FloatArray:
    at = level * (len(_INFERNO) - 1)
    low = np.minimum(at.astype(np.intp), len(_INFERNO) - 2)
    part = (at - low)[..., None]
    result: FloatArray = _INFERNO[low] * (1.0 - part) + _INFERNO[low + 1] * part
    return result


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in text)[:60]
