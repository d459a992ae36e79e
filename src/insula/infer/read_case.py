"""One case read and prepared: its scans by role, what has to be said of them, and what their headers tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from insula.core.types import FloatArray, Volume
from insula.infer.predict import Predictor
from insula.scans.sandbox import Sandbox


class ReadCase(NamedTuple):
    """The scans of one case as the network takes them, what has to be said of them, their header facts, and the scans
    themselves under `role`, `role.2` and so on.
    """

    views: dict[str, tuple[FloatArray, ...]]
    cautions: tuple[str, ...]
    headers: dict[str, str]
    volumes: dict[str, Volume]


def read_case(
    scans: Sequence[tuple[str, Path | Volume]], predictor: Predictor, pool: Sandbox, series: str | None
) -> ReadCase:
    """Read and prepare the scans of one case, given as role and path, or role and a scan in memory.

    series: the one to take where a path holds several. Raises what `Sandbox.read` and `Predictor.prepare` raise.
    """
    views: dict[str, tuple[FloatArray, ...]] = {}
    cautions: list[str] = []
    headers: dict[str, str] = {}
    volumes: dict[str, Volume] = {}
    for role, scan in scans:
        tiles = predictor.bundle.recipe.inputs[role].tiles
        volume = scan if isinstance(scan, Volume) else pool.read(scan, tiles=tiles, series=series)
        slices, said = predictor.prepare(volume, role)
        views[role] = (*views.get(role, ()), slices)
        volumes[role if len(views[role]) == 1 else f"{role}.{len(views[role])}"] = volume
        cautions += said
        headers |= {k: v for k, v in volume.attributes.items() if k not in headers}
    return ReadCase(views, tuple(dict.fromkeys(cautions)), headers, volumes)
