"""Does the heat lie on the lesion: the pointing game, and the share of heat inside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from insula.core.errors import EvaluationError
from insula.core.recipe import Input
from insula.core.types import Case, FloatArray, Heatmap
from insula.evaluate.outcome import Localisation
from insula.metrics import proportion
from insula.prep.run import prepare_mask
from insula.scans.sandbox import read, read_files


@dataclass(frozen=True)
class Spot:
    """One case: whether the heat's peak lies in the lesion, the heat's share inside, the lesion's share of the scan."""

    peak_inside: bool
    heat_inside: float
    lesion_share: float


def spot(heatmap: Heatmap, k: int, mask: NDArray[np.bool_]) -> Spot:
    """Where class k's heat lies in relation to a lesion mask (S', H, W) on the prepared grid.

    The peak is the largest value of the map over all its slices, placed on the prepared grid by bilinear growth of that
    slice (the pointing game of Zhang et al., IJCV 2018). Raises EvaluationError for a mask of other slices.
    """
    if max(heatmap.slices) >= len(mask):
        raise EvaluationError(
            f"The mask has {len(mask)} slices and the heat map shows slice {max(heatmap.slices) + 1}; "
            "give the mask that was drawn on this scan."
        )
    grown = np.stack([grow(heat, mask.shape[1:]) for heat in heatmap.array[k]])
    inside = mask[list(heatmap.slices)]
    s, row, column = peak(heatmap.array[k], grown)
    total = float(grown.sum(dtype=np.float64))
    return Spot(
        total > 0 and bool(inside[s, row, column]),
        float(grown[inside].sum(dtype=np.float64)) / total if total > 0 else 0.0,
        float(inside.mean()),
    )


def grow(heat: FloatArray, size: tuple[int, ...]) -> FloatArray:
    """A map (h, w) on a grid (H, W) by bilinear interpolation, negative values cut off."""
    shape = (size[1], size[0])
    return cv2.resize(np.maximum(heat, 0), shape, interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def peak(heat: FloatArray, grown: FloatArray) -> tuple[int, int, int]:
    """Slice, row and column of the largest heat: the slice from the map itself, the place from the grown map.

    Interpolation leaves a small plateau around the largest cell; its middle is the peak.
    """
    s = int(heat.reshape(len(heat), -1).max(axis=1).argmax())
    top = grown[s] >= grown[s].max() - 1e-6 * max(float(grown[s].max()), 1e-12)
    _, labels = cv2.connectedComponents(top.astype(np.uint8), connectivity=4)
    rows, columns = np.nonzero(labels == labels.ravel()[top.ravel().argmax()])
    return s, round(float(rows.mean())), round(float(columns.mean()))


def of_case(case: Case, role: str, root: Path, heatmap: Heatmap, k: int, section: Input) -> Spot | None:
    """The spot of one case; None where it has no mask or the mask is empty after preparation."""
    scan = case.scans[role]
    if not scan.mask:
        return None
    picture = read_files([root / path for path in scan.paths], tiles=section.tiles)
    mask = prepare_mask(read(root / scan.mask), section, picture)
    return spot(heatmap, k, mask) if mask.any() else None


def summary(table: pd.DataFrame) -> Localisation | None:
    """Hits over the rows that have a spot, with their interval over patients; None where there are none."""
    if "peak_inside" not in table.columns:
        return None
    rows = table[table["peak_inside"].notna()]
    n = len(rows)
    if n == 0:
        return None
    hit = rows["peak_inside"].to_numpy(dtype=bool)
    patients = rows["patient"].to_numpy(dtype=str)
    pointing = proportion.figure(hit, np.ones(n, dtype=bool), patients, "no true positive has a mask")
    return Localisation(
        n,
        int(hit.sum()),
        pointing,
        float(rows["heat_inside"].astype(float).mean()),
        float(rows["lesion_share"].astype(float).mean()),
    )
