"""Bundles that lie where an administrator may add them from, and what a bundle takes on disk."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
GRAPHS: Final = ("model.onnx", "head.onnx")
_MANIFEST: Final = "manifest.json"
_MOST: Final = 200


def offered(home: Path | None, known: Collection[Path] = ()) -> list[str]:
    """Names of bundles right below a folder that are not at one of the known places, at most 200, by name."""
    if home is None or not home.is_dir():
        return []
    places = {path.resolve() for path in known}
    found = [
        one.name
        for one in sorted(home.iterdir())
        if re.match(NAME, one.name) and (one / _MANIFEST).is_file() and one.resolve() not in places
    ]
    return found[:_MOST]


def graph_bytes(path: Path) -> int | None:
    """Bytes of a bundle's two graphs, None where they are no longer there."""
    try:
        return sum((path / name).stat().st_size for name in GRAPHS)
    except OSError:
        return None
