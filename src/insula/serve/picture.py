"""The map beside an answer on the page: the hottest slice, drawn and scaled as `insula explain` does."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from insula.core.recipe import Recipe
from insula.core.types import Decision, FloatArray, Prediction
from insula.infer import heatmap
from insula.infer.overlay import Style, overlay_png

_STYLE: Final = Style(least=384)


@dataclass(frozen=True)
class Drawn:
    """A slice with heat, or that there is none: address is "" then.

    address: the picture itself as a data address. number: of the slice, from 1, of so many in the prepared scan.
    evidence: what the heat is, in words. top: the heat of the brightest colour, in `unit`.
    """

    evidence: str
    address: str = ""
    number: int = 0
    of: int = 0
    top: float = 0.0
    unit: str = heatmap.CLASS_MAP


def draw(prediction: Prediction, decision: Decision, prepared: FloatArray, recipe: Recipe) -> Drawn | None:
    """The slice with most heat of the class that the answer is about; None for a prediction that may show no heat.

    prepared: the slices (S, C, H, W) that were predicted from. The brightest colour is the hottest cell of the scan.
    """
    heat = prediction.heatmaps.get(recipe.role)
    if heat is None:
        return None
    name = heatmap.class_of(recipe.target, decision.label)
    said, k = heatmap.evidence(name, decision.label), recipe.target.classes.index(name)
    positions = heatmap.top_slices(heat, k, 1)
    if not positions:
        return Drawn(said)
    number, top = heat.slices[positions[0]], heatmap.class_scale(heat, k)
    picture = heatmap.picture(prepared[number], heatmap.is_colour(recipe.input))
    png = overlay_png(picture, heat.array[k, positions[0]], top, _STYLE)
    address = "data:image/png;base64," + base64.b64encode(png).decode()
    return Drawn(said, address, number + 1, len(prepared), top)
