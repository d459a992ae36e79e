"""The pictures of a case report: slices with most heat, drawn and scaled as `insula explain` does."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
from PIL import Image

from insula.core.recipe import Recipe
from insula.core.types import Decision, FloatArray, Heatmap, Prediction
from insula.infer import heatmap
from insula.infer.colours import paint
from insula.infer.feed import Views
from insula.infer.overlay import Picture as Pixels
from insula.infer.overlay import Style, overlay
from insula.report.case.record import Picture

STYLE: Final = Style(least=384)
_BAR: Final = 128
_EVEN: Final = 1e-6


def of_case(
    prediction: Prediction,
    decision: Decision,
    views: Views,
    recipe: Recipe,
    count: int = 1,
    sided: Collection[str] = (),
) -> tuple[Picture, ...]:
    """Of each scan the `count` slices with most heat for the class that the answer is about; none for a rejected case.

    views: what was predicted from, role → (S, C, H, W) of each scan. sided: names of the scans (`ct`, `ct.2`) whose
    file says where the patient's right is. A scan without heat gives one slice without a map.
    """
    if decision.action == "reject":
        return ()
    target = recipe.target
    finding = heatmap.class_of(target, decision.label)
    k = target.classes.index(finding)
    found: list[Picture] = []
    for scan, slices in heatmap.by_scan(views).items():
        if (heat := prediction.heatmaps.get(scan)) is not None:
            section = recipe.inputs[heatmap.role_of(scan)]
            bare = Picture(
                scan, 0, len(slices), b"", finding=finding, present=finding == decision.label, sided=scan in sided,
                colours=STYLE.colours, part="tile" if section.modality == "SM" else "slice",
            )  # fmt: skip
            found += _of_scan(bare, heat, slices, k, heatmap.is_colour(section), count)
    return tuple(found)


def _of_scan(bare: Picture, heat: Heatmap, slices: FloatArray, k: int, colour: bool, count: int) -> Iterator[Picture]:
    top = heatmap.class_scale(heat, k)
    positions = heatmap.top_slices(heat, k, count)
    for position in positions or (_weightiest(heat),):
        number = heat.slices[position]
        shown = heatmap.picture(slices[number], colour)
        plain = png(overlay(shown, np.zeros((1, 1), np.float32), 0.0, STYLE))
        one = replace(bare, slice=number + 1, scan=plain)
        if positions:
            plane = heat.array[k, position]
            faint = float(plane.max()) < heatmap.SEEN * top
            one = replace(one, map=png(overlay(shown, plane, top, STYLE)), top=top, faint=faint)
        yield one


def _weightiest(heat: Heatmap) -> int:
    """The slice with most weight in the pooling; the middle one where all weigh the same."""
    return int(heat.weights.argmax()) if np.ptp(heat.weights) > _EVEN else len(heat.slices) // 2


@cache
def bar(colours: str) -> bytes:
    """The colour bar as PNG, one pixel wide: the strongest heat above, none below."""
    ramp = np.linspace(1.0, 0.0, _BAR, dtype=np.float32)[:, None]
    return png(paint(ramp, colours).round().astype(np.uint8))


def png(pixels: Pixels) -> bytes:
    """Pixels (H, W, 3) as PNG; grey ones as grey, a third of the size."""
    grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
