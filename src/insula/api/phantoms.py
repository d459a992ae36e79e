"""Made patients with known truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from insula.cohort.phantom.make import make
from insula.cohort.phantom.plants import parse


def phantom(
    kind: str,
    folder: str | Path,
    patients: int = 60,
    *,
    seed: int = 0,
    size: int = 192,
    slices: int = 24,
    plants: Sequence[str] = (),
) -> Path:
    """Make patients of a kind (haemorrhage-ct, stroke-ct, brain-tumour, clot-origin) in a new folder, and return it.

    size: pixels a side; slices: of a scan; plants: faults, as `--plant` of `insula phantom`, "text:stroke=0.9". Raises
    UsageError for a kind or a fault that does not exist, and for a folder that is not empty.
    """
    return make(kind, Path(folder), patients, seed, size, slices, plants=parse(plants))
