"""JSON sidecars of BIDS: what a file and the folders above it say of a scan (the inheritance principle)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FACTS = {
    "Manufacturer": "manufacturer",
    "ManufacturersModelName": "scanner",
    "StationName": "station",
    "InstitutionName": "institution",
    "MagneticFieldStrength": "field_strength",
    "ConvolutionKernel": "kernel",
    "KVP": "kvp",
    "BodyPartExamined": "body_part",
}
_MAX_BYTES = 1 << 20


class Sidecars:
    """The sidecars of one dataset; each file is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, list[tuple[frozenset[str], str, Mapping[str, str]]]] = {}

    def facts(self, path: str) -> dict[str, str]:
        """Scanner, site and the like of one scan: sidecars nearer to it come last and win.

        A sidecar applies when it has the scan's suffix and none of its entities contradicts the scan's (BIDS 1.10,
        Common principles, The inheritance principle).
        """
        entities, suffix = parts(path)
        found: dict[str, str] = {}
        folders = path.split("/")[:-1]
        for depth in range(len(folders) + 1):
            said = self._said("/".join(folders[:depth]))
            for own, ending, facts in sorted(said, key=lambda s: len(s[0])):
                if ending == suffix and own <= entities:
                    found |= facts
        return found

    def _said(self, folder: str) -> list[tuple[frozenset[str], str, Mapping[str, str]]]:
        if folder not in self._folders:
            place = self._root / folder if folder else self._root
            self._folders[folder] = [
                (*parts(file.name), facts) for file in sorted(place.glob("*.json")) if (facts := _read(file))
            ]
        return self._folders[folder]


def parts(path: str) -> tuple[frozenset[str], str]:
    """The entities (`sub-01`, `ses-1`, …) and the suffix (`T1w`) of a BIDS file name."""
    *entities, suffix = path.rpartition("/")[2].partition(".")[0].split("_")
    return frozenset(entities), suffix


def _read(path: Path) -> dict[str, str]:
    """The facts of one sidecar; one that is too long or no JSON object says nothing."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return {}
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    taken = {name: content.get(key) for key, name in _FACTS.items()}
    return {name: str(value)[:64] for name, value in taken.items() if isinstance(value, str | int | float)}
