"""What an explainer found as files: overlays, heat map, projections, tile map, weights of the slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from insula.core.errors import UsageError
from insula.core.provenance import write_bytes
from insula.core.recipe import Recipe
from insula.core.types import FloatArray, Heatmap, Volume
from insula.infer import heatmap, slice_weights
from insula.infer.explainer import Explained
from insula.infer.feed import Views
from insula.infer.overlay import PLAIN, Style, png
from insula.infer.projection import projections
from insula.infer.shown_window import pictures
from insula.infer.tile_map import tile_map
from insula.scans.slide_tiles import layout
from insula.scans.write import write_nifti

_FEWEST = 3  # slices that make a volume worth projecting


@dataclass(frozen=True)
class Drawing:
    """How it is drawn: the style of the heat, the window or channel of the scan under it, and which slices.

    slices: by scan, those that are drawn, counted from 0; where a scan is not named, the `top` ones by heat or weight.
    """

    style: Style = PLAIN
    window: tuple[float, float] | None = None
    channel: int = 0
    top: int = 3
    by: Literal["heat", "weight"] = "heat"
    slices: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """One slice that was drawn or named: its number from 0 `of` so many, its shares of heat and pooling, and where it
    is hottest, from the left and top as fractions of the picture (None where it has no heat, or is one cell).
    """

    scan: str
    slice: int
    of: int
    heat: float | None
    weight: float
    peak: tuple[float, float] | None


def write(
    explained: Explained,
    views: Views,
    volumes: Mapping[str, Volume],
    recipe: Recipe,
    folder: Path,
    name: str,
    drawing: Drawing,
    caution: str = "",
) -> tuple[list[Path], list[Shown]]:
    """Write all files of one case into a folder, and say which slices were shown.

    views and volumes: the case's scans as prepared, by role, and as read, by scan. name: of the class, in file names.
    caution: a sentence for the notes of the overlays. UsageError for a slice that a scan does not have.
    """
    several = len(explained.heatmaps) > 1
    bags, files, shown = heatmap.by_scan(views), [], []
    rows = slice_weights.rows(explained.heatmaps, 0)
    for scan, heat in explained.heatmaps.items():
        section = recipe.inputs[heatmap.role_of(scan)]
        seen = pictures(bags[scan], volumes[scan], section, drawing.window, drawing.channel)
        positions = chosen(heat, scan, drawing)
        stem = heatmap.file_name(scan) if several else ""
        own = {row.slice: row for row in rows if row.scan == scan}
        placed = heat.array.shape[2:] != (1, 1)
        shown += [_shown(heat, position, own[heat.slices[position]], len(seen), placed) for position in positions]
        share, size = explained.brightest, seen[0].shape[:2]
        said = " ".join([f"Heat: {explained.unit}.", legend(heat, share, size), *([caution] if caution else [])])
        if placed:
            files += heatmap.write_overlays(heat, 0, seen, positions, folder, stem, name, drawing.style, said, share)
        scale, safe = heatmap.class_scale(heat, 0, share), heatmap.file_name(name)
        files += _whole(heat, scale, seen, volumes[scan], recipe, scan, folder, stem, safe, drawing, said)
    files += _weights(explained.heatmaps, rows, recipe, folder)
    return files, shown


def legend(heat: Heatmap, brightest: float, size: tuple[int, ...]) -> str:
    """What the bar's top stands for, beside the heat of a picture of this size (H, W)."""
    if brightest < 1.0:
        return f"The bar's top is the {100 * brightest:g}th percentile of the heat above 0; what is hotter looks alike."
    return heatmap.SMOOTHED if heat.array.shape[2:] != size else "The bar's top is the heat of the hottest pixel."


def chosen(heat: Heatmap, scan: str, drawing: Drawing) -> tuple[int, ...]:
    """Positions in a heat map of the slices to draw, most first; without heat none but those that were named.

    UsageError for a slice that the heat map does not show.
    """
    if scan in drawing.slices:
        missing = [n for n in drawing.slices[scan] if n not in heat.slices]
        if missing:
            raise UsageError(
                f"The heat map of '{scan}' has no slice {missing[0] + 1}; its slices count from "
                f"{min(heat.slices) + 1} to {max(heat.slices) + 1}."
            )
        return tuple(heat.slices.index(n) for n in drawing.slices[scan])
    if drawing.by == "weight":
        return tuple(int(i) for i in np.argsort(-heat.weights, kind="stable")[: drawing.top])
    return heatmap.top_slices(heat, 0, drawing.top)


def _shown(heat: Heatmap, position: int, row: slice_weights.Row, of: int, placed: bool) -> Shown:
    warm = bool(heat.array[0, position].max() > 0)
    place = heatmap.peak(heat, 0, position) if placed and warm else None
    return Shown(row.scan, row.slice, of, row.heat, row.weight, place)


def _whole(
    heat: Heatmap,
    scale: float,
    seen: Sequence[FloatArray],
    volume: Volume,
    recipe: Recipe,
    scan: str,
    folder: Path,
    stem: str,
    name: str,
    drawing: Drawing,
    said: str,
) -> list[Path]:
    """The files that show a scan as a whole: a slide's tiles, or a volume's heat and its projections.

    said: what the heat is, for the pictures' notes.
    """
    first = f"{stem}-" if stem else ""
    section = recipe.inputs[heatmap.role_of(scan)]
    places = layout(volume.attributes)
    files = []
    if places is not None:
        most = float(heat.weights.max())
        for what, values, top, note in (
            (f"heat-{name}", heat.array[0], scale, said if scale > 0 else "No heat above 0 in any tile."),
            ("weights", heat.weights[:, None, None], most, "Weight of each tile in the pooling, as a share of 1."),
        ):
            path = folder / f"{first}tiles-{what}.png"
            drawn = tile_map(seen, values, heat.slices, places, top, drawing.style)
            write_bytes(path, png(drawn, top, note))
            files.append(path)
    elif section.modality != "SM":
        nifti, placed = folder / f"{first}heat-{name}.nii.gz", heatmap.heat_volume(heat, 0, volume, section)
        write_nifti(placed, nifti)
        files.append(nifti)
        grey, spread = seen[0].ndim == 2, heat.array.shape[2:] != (1, 1)
        known = not np.array_equal(volume.affine, np.eye(4))  # pictures do not say how far apart they were taken
        if grey and spread and known and len(seen) >= _FEWEST and scale > 0:
            path = folder / f"{first}projection-{name}.png"
            drawn = projections(seen, placed.array[0], placed.spacing, scale, drawing.style)
            write_bytes(path, png(drawn, scale, f"{said} The strongest along each line of sight."))
            files.append(path)
    return files


def _weights(
    heatmaps: Mapping[str, Heatmap], rows: Sequence[slice_weights.Row], recipe: Recipe, folder: Path
) -> list[Path]:
    """The table of all slices, and a chart of each scan whose slices do not count alike."""
    files = [folder / "slice-weights.csv"]
    write_bytes(files[0], slice_weights.csv(rows).encode())
    for scan, heat in heatmaps.items():
        if len(heat.slices) > 1 and float(np.ptp(heat.weights)) > 1e-6:
            stem = f"{heatmap.file_name(scan)}-" if len(heatmaps) > 1 else ""
            files.append(folder / f"{stem}slice-weights.svg")
            write_bytes(files[-1], slice_weights.chart(rows, scan).encode())
    return files
