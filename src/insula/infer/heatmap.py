"""Heat maps as pictures and as volumes: where in the scan a class's score comes from.

One scale holds for all slices of a scan. Heat below 0, which speaks against a class, is never drawn and stands in the
volume alone. Slices count from 1 wherever a person reads of them, file names included, and from 0 in data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from insula.core.provenance import write_bytes
from insula.core.recipe import Input, Recipe, Target
from insula.core.types import FloatArray, Heatmap, Prediction, Volume
from insula.infer.feed import Views
from insula.infer.overlay import PLAIN, Style, enlarge, overlay_png, plain_png
from insula.prep.run import prepared_volume

NO_PROOF: Final = (
    "A map says where a score comes from: one that lies beside the lesion is a reason to distrust an answer, one that "
    "lies on it is no proof."
)
CLASS_MAP: Final = "score per cell"  # the unit of the class maps' heat
SMOOTHED: Final = (
    "The bar's top is the heat of the hottest cell; pictures and heat map run smoothly from cell to cell, so that "
    "their own peak may be lower."
)
NO_HEAT: Final = "No heat above 0 in this slice: the scan is shown as it is."
FAINT: Final = "The heat in this slice is below 15% of the bar's top and hardly to be seen."
NOT_PRESENT: Final = ", which the model does not call present"
SEEN: Final = 0.15  # of the brightest colour's heat: less is dark colour at little opacity
_MOST: Final = 0.995


def picture(prepared_slice: FloatArray, colour: bool = False, channel: int = 0) -> FloatArray:
    """A prepared slice (C, H, W) as a picture in [0, 1]: (H, W, 3) for colour, else one of its channels (H, W)."""
    shown = np.clip(prepared_slice, 0.0, 1.0)
    return np.ascontiguousarray(shown[:3].transpose(1, 2, 0)) if colour else shown[channel]


def is_colour(section: Input) -> bool:
    """Whether a recipe's input gives colour pictures rather than windows of one grey picture."""
    return any(s.name == "colour" and s.params.get("value", "rgb") == "rgb" for s in section.prep)


def class_scale(heat: Heatmap, class_index: int, share: float = 1.0) -> float:
    """What an overlay's brightest colour stands for: the largest heat of a class in the whole scan.

    share: below 1, that quantile of the heat above 0 instead, so that a few pixels do not leave all others dark.
    """
    plane = heat.array[class_index]
    warm = plane[plane > 0]
    if share >= 1.0 or not len(warm):
        return float(plane.max(initial=0.0))
    return float(np.quantile(warm, share))


def totals(heat: Heatmap, class_index: int) -> FloatArray:
    """The heat of each slice (S,), what is below 0 left out."""
    found: FloatArray = np.maximum(heat.array[class_index], 0.0).sum(axis=(1, 2), dtype=np.float64).astype(np.float32)
    return found


def top_slices(heat: Heatmap, class_index: int, count: int) -> tuple[int, ...]:
    """Positions in the heat map of the slices with most heat for a class, most first.

    Left out are slices whose strongest heat is not to be seen: less than 15% of the scan's.
    """
    each = totals(heat, class_index)
    strongest = heat.array[class_index].max(axis=(1, 2), initial=0.0)
    least = SEEN * class_scale(heat, class_index, _MOST)
    order = np.argsort(-each, kind="stable")
    return tuple(int(i) for i in order if each[i] > 0 and strongest[i] >= least)[:count]


def class_of(target: Target, label: str) -> str:
    """The class whose map belongs to an answer: the decided one, where it has heat, else the positive one.

    A binary target has one score, that of its positive class; "no any" is no class.
    """
    return label if label in target.classes and target.kind != "binary" else target.positive


def evidence(name: str, label: str) -> str:
    """What the heat of a class is, in words, beside the answer that the model gave."""
    return f"evidence for “{name}”{'' if name == label else NOT_PRESENT}"


def peak(heat: Heatmap, class_index: int, position: int) -> tuple[float, float]:
    """Where a slice's heat is strongest: (across from the left, down from the top) as fractions of the picture."""
    plane = heat.array[class_index, position]
    row, column = np.unravel_index(int(plane.argmax()), plane.shape)
    return (float(column) + 0.5) / plane.shape[1], (float(row) + 0.5) / plane.shape[0]


def write_case(
    prediction: Prediction,
    prepared: FloatArray | Views,
    folder: Path,
    recipe: Recipe,
    classes: Sequence[str] = (),
    top: int = 3,
    style: Style = PLAIN,
) -> list[Path]:
    """Write overlays of the slices with most heat, `slice-<number>-<class>.png` counted from 1, for each class.

    Where a case has several scans, the name begins with that of the scan (`ct-`, `slide.2-`). classes: the most
    probable class when none is named, of a binary target the positive one. prepared: what was predicted from, the
    slices (S, C, H, W) of the first role's only scan or all scans by role.
    """
    views = {recipe.role: (prepared,)} if isinstance(prepared, np.ndarray) else prepared
    slices = by_scan(views)
    most = prediction.classes[int(np.argmax(prediction.probabilities))]
    # a binary target has one score: only its positive class has heat, whichever answer is more probable
    chosen = list(classes) or [recipe.target.positive if recipe.target.kind == "binary" else most]
    written = []
    for scan, heat in prediction.heatmaps.items():
        colour = is_colour(recipe.inputs[role_of(scan)])
        pictures = [picture(one, colour) for one in slices[scan]]
        for name in chosen:
            k = prediction.classes.index(name)
            stem = file_name(scan) if len(slices) > 1 else ""
            said = f"Heat: {CLASS_MAP}. {SMOOTHED}"
            written += write_overlays(heat, k, pictures, top_slices(heat, k, top), folder, stem, name, style, said)
    return written


def write_overlays(
    heat: Heatmap,
    class_index: int,
    pictures: Sequence[FloatArray],
    positions: Sequence[int],
    folder: Path,
    scan: str,
    name: str,
    style: Style = PLAIN,
    said: str = "",
    share: float = 1.0,
) -> list[Path]:
    """Write one scan's slices at these positions of its heat map, `[<scan>-]slice-<number>-<name>.png`.

    The number counts from 1. A slice without heat gets neither overlay nor bar, and a note that says so; one whose heat
    is hardly to be seen has a note as well. pictures: of every prepared slice. said: sentences for the files' notes.
    share: as in `class_scale`.
    """
    scale = class_scale(heat, class_index, share)
    written = []
    for position in positions:
        number = heat.slices[position]
        plane = heat.array[class_index, position]
        strongest = float(plane.max(initial=0.0))
        warm, faint = strongest > 0, strongest < SEEN * scale
        data = (
            overlay_png(pictures[number], plane, scale, style, f"{FAINT} {said}" if faint else said)
            if warm
            else plain_png(pictures[number], style, NO_HEAT)
        )
        path = folder / f"{f'{scan}-' if scan else ''}slice-{number + 1:04d}-{file_name(name)}.png"
        write_bytes(path, data)
        written.append(path)
    return written


def heat_volume(heat: Heatmap, class_index: int, volume: Volume, section: Input) -> Volume:
    """A class's heat as a volume in the scan's own space: on the prepared grid, with its place in mm.

    Slices that the heat map does not show are NaN.
    """
    grid = prepared_volume(volume, section)
    _, z, y, x = grid.array.shape
    array = np.full((1, z, y, x), np.nan, np.float32)
    for position, number in enumerate(heat.slices):
        array[0, number] = enlarge(heat.array[class_index, position], (y, x))
    return replace(
        grid, array=array, units="a.u.", modality="", source="heat map", full_scale=None, window=None, attributes={}
    )


def by_scan(views: Views) -> dict[str, FloatArray]:
    """Slices (S, C, H, W) of each scan, under the names of its heat map: `role`, `role.2` and so on."""
    return {role if i == 0 else f"{role}.{i + 1}": bag for role, bags in views.items() for i, bag in enumerate(bags)}


def role_of(scan: str) -> str:
    """The role of a scan's name."""
    return scan.partition(".")[0]


def file_name(text: str) -> str:
    """A name that any file system takes."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in text)[:60]
