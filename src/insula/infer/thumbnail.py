"""One small picture that stands for a case: the slice that counted most, as the network saw it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from insula.core.recipe import Recipe
from insula.core.types import FloatArray, Heatmap, Prediction
from insula.infer.feed import Views
from insula.infer.heatmap import by_scan, is_colour, picture, role_of, totals

SIDE = 96
_QUALITY = 80
_EVEN = 1e-6


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG, the scan and slice (from 0) that it shows, and why that one: `weight`, `heat` or `middle`."""

    jpeg: bytes
    scan: str
    slice: int
    by: str


def of_prediction(prediction: Prediction, views: Views, recipe: Recipe, side: int = SIDE) -> Thumbnail:
    """The slice with most weight in the pooling; where all weigh the same, that with most heat for the answered class.

    Without heat either, the middle slice. views: what was predicted from, role → (S, C, H, W) of each scan.
    """
    slices = by_scan(views)
    scan, position, by = _chosen(prediction, recipe)
    number = prediction.heatmaps[scan].slices[position] if scan in prediction.heatmaps else position
    shown = picture(slices[scan][number], is_colour(recipe.inputs[role_of(scan)]))
    return Thumbnail(jpeg(shown, side), scan, number, by)


def jpeg(shown: FloatArray, side: int = SIDE) -> bytes:
    """A picture (H, W) or (H, W, 3) in [0, 1] as a JPEG whose longer side has `side` pixels."""
    height, width = shown.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(255.0 * shown, np.float32), size, interpolation=how)
    ordered = small[..., ::-1] if small.ndim == 3 else small
    whole = np.clip(np.round(ordered), 0, 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes() if done else b""


def _chosen(prediction: Prediction, recipe: Recipe) -> tuple[str, int, str]:
    """Scan, position in its heat map, and why."""
    maps = prediction.heatmaps
    weighed = {scan: heat for scan, heat in maps.items() if len(heat.slices) > 1 and np.ptp(heat.weights) > _EVEN}
    if weighed:
        scan = max(weighed, key=lambda name: float(weighed[name].weights.max()))
        return scan, int(weighed[scan].weights.argmax()), "weight"
    target = recipe.target
    k = target.positive_index if target.kind == "binary" else int(np.argmax(prediction.probabilities))
    heat = {scan: _mean_heat(one, k) for scan, one in maps.items()}
    scan = max(heat, key=lambda name: float(heat[name].max(initial=0.0)))
    if heat[scan].max(initial=0.0) > 0:
        return scan, int(heat[scan].argmax()), "heat"
    return scan, len(maps[scan].slices) // 2, "middle"


def _mean_heat(heat: Heatmap, k: int) -> FloatArray:
    """Heat of each slice by cell, so that scans whose maps have more cells do not win for that."""
    each: FloatArray = totals(heat, k) / np.float32(np.prod(heat.array.shape[2:]))
    return each
