"""Where the heat of a prediction lies in the scans that a study has now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import numpy as np

from insula.core.recipe import Recipe
from insula.infer import heatmap
from insula.serve import laid, view
from insula.serve.laid import Told
from insula.serve.store.files import Files
from insula.serve.store.predictions import StoredPrediction
from insula.serve.view import View
from insula.serve.volumes import Scan

_TOP: Final = 5


@dataclass(frozen=True)
class ClassHeat:
    """The heat of one class in one scan.

    said: its name as people read it. volume: its address. top: the score per cell of the brightest colour. slices: of
    the scan, counted from 1, with most heat, most first. probability: of the class in this prediction, None where it
    has none.
    """

    name: str
    said: str
    probability: float | None
    volume: str
    top: float
    slices: tuple[int, ...]


@dataclass(frozen=True)
class Heat:
    """Heat in one scan, by class, that of the answer first.

    role: of the model's input. weights: slice of the scan, from 1 → its share in the answer. placed: whether it can be
    laid over the scan; what lies on the tiles of a slide cannot.
    """

    role: str
    classes: tuple[ClassHeat, ...]
    weights: Mapping[int, float]
    placed: bool = True


def heat_of(files: Files, prediction: StoredPrediction, told: Told, scans: Sequence[Scan]) -> Mapping[str, Heat]:
    """Scan's name → the heat in it. told: what the records say of the prediction's heat."""
    named = {one.name: one for one in scans}
    found = laid.matched(files, told, scans)
    return {name: _heat(prediction, one.role, one.view, named[name], told.recipe) for name, one in found.items()}


def _heat(prediction: StoredPrediction, role: str, seen: View, scan: Scan, recipe: Recipe | None) -> Heat:
    placed = scan.modality != "SM"
    nearest = np.clip(np.rint(laid.heights(seen, scan.affine)), 0, scan.slices - 1).astype(int)
    base = f"/api/v1/predictions/{prediction.id}/scans/{quote(role)}"
    probabilities = prediction.answer.get("probabilities") or {}
    names = list(seen.classes)
    if recipe is not None and recipe.target.kind == "binary":
        names = [recipe.target.positive]  # a binary target has one score, that of its positive class
    if recipe is not None and (first := heatmap.class_of(recipe.target, prediction.label)) in names:
        names.sort(key=lambda name: name != first)
    classes = tuple(
        ClassHeat(
            name=name,
            said=name if recipe is None else recipe.target.say(name),
            probability=probabilities.get(name),
            volume=f"{base}/heat.nii.gz?class={quote(name, safe='')}",
            top=heatmap.class_scale(seen.map, seen.classes.index(name)),
            slices=tuple(dict.fromkeys(int(nearest[n]) + 1 for n in view.top(seen, name, _TOP))) if placed else (),
        )
        for name in names
    )
    weights: dict[int, float] = {}
    for number, weight in zip(seen.numbers, seen.weights, strict=True) if placed else ():
        at = int(nearest[number]) + 1
        weights[at] = round(weights.get(at, 0.0) + float(weight), 6)
    return Heat(
        role=role,
        classes=classes,
        weights=weights,
        placed=placed,
    )
