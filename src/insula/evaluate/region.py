"""Where heat may be expected at all: the brain of a CT, the head of other head scans, on the grid of the network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from insula.core.errors import InsulaError
from insula.core.recipe import Input
from insula.core.types import Volume
from insula.prep.brain import brain_mask
from insula.prep.head import head_mask
from insula.prep.run import prepare_mask

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Region:
    """`brain` (what the skull encloses, blood and fluid included) or `head`, as bool (S, H, W) on the prepared grid."""

    name: str
    mask: Mask


def of_scan(scan: Volume, section: Input) -> Region | None:
    """The region of a scan that the recipe takes; None for other modalities and where neither can be found.

    A CT in Hounsfield units has a brain. An MR, a CT as a picture and a CT in which no brain is enclosed by bone have a
    head, with what is dark in it.
    """
    if section.modality not in ("CT", "MR"):
        return None
    if section.modality == "CT" and scan.units == "HU":
        try:
            return _prepared("brain", brain_mask(scan), scan, section)
        except InsulaError:
            pass  # a slice of a series, or a phantom without a skull
    try:
        head = head_mask(scan)
        return _prepared("head", np.stack([binary_fill_holes(plane) for plane in head]), scan, section)
    except InsulaError:
        return None


def _prepared(name: str, mask: Mask, scan: Volume, section: Input) -> Region | None:
    found = prepare_mask(replace(scan, array=mask[None].astype(np.float32)), section, scan)
    return Region(name, found) if found.any() else None
