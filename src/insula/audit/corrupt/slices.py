"""Slices missing: lost within the stack, not scanned at one end, or averaged to thicker ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from insula.audit.corrupt.corruption import Corruption
from insula.core.types import Volume
from insula.scans import regrid


def dropped(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Leave out this share of the slices at random places: at least one, and never the last that is left.

    The others are as far apart on average as the affine then says; tiles of a slide have no such distance.
    """
    depth = volume.array.shape[1]
    lost = _count(depth, strength)
    kept = np.sort(rng.permutation(depth)[lost:])
    affine = volume.affine.copy()
    if volume.modality != "SM" and len(kept) > 1:
        affine[:3, 3] += affine[:3, 2] * kept[0]
        affine[:3, 2] *= (kept[-1] - kept[0]) / (len(kept) - 1)
    return replace(volume, array=np.ascontiguousarray(volume.array[:, kept]), affine=affine)


def cut(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Leave out this share of the slices at one end, by chance the upper or the lower: at least one, never all."""
    depth = volume.array.shape[1]
    lost = _count(depth, strength)
    first = lost if rng.random() < 0.5 else 0
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 2] * first
    return replace(volume, array=np.ascontiguousarray(volume.array[:, first : first + depth - lost]), affine=affine)


def thicker(volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
    """Slices of this many millimetres, each the mean over its thickness; a scan of thicker ones stays as it is."""
    x, y, z = volume.spacing
    if z >= strength:
        return volume
    return regrid.resample(volume, (x, y, strength))


def _count(depth: int, share: float) -> int:
    return min(max(1, round(share * depth)), depth - 1)


SLICES_DROPPED: Final = Corruption(
    name="slices_dropped",
    title="Slices lost",
    unit="share of the slices",
    strengths=(0.05, 0.1, 0.25, 0.5, 0.75),
    everyday=1,
    why="one or two slices of a series are lost when it is sent or sorted; chosen here, without a source",
    change=dropped,
    modalities=("CT", "MR", "SM"),
    stack=True,
)
SLICES_CUT: Final = Corruption(
    name="slices_cut",
    title="One end not scanned",
    unit="share of the slices",
    strengths=(0.05, 0.1, 0.2, 0.3, 0.5),
    everyday=2,
    why="scans begin at the skull base or below and end at or above the vertex: 10% is 1.5 cm of a head; chosen here, "
    "without a source",
    change=cut,
    modalities=("CT", "MR"),
    stack=True,
)
SLICES_THICKER: Final = Corruption(
    name="slices_thicker",
    title="Thicker slices",
    unit="mm",
    strengths=(3.0, 5.0, 7.5, 10.0, 15.0),
    everyday=2,
    why="head CT is traditionally reconstructed at 5 mm, on older scanners at 10 mm (Neuroradiology, "
    "doi:10.1007/s00234-015-1631-4)",
    change=thicker,
    modalities=("CT", "MR"),
    stack=True,
    deep=True,
)
