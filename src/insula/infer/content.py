"""By what a later run knows whether a case is still what it was."""

from __future__ import annotations

from pathlib import Path

from insula.core.provenance import sha256_text
from insula.core.recipe import Recipe
from insula.core.types import Case


def of_case(case: Case, root: Path, recipe: Recipe, *more: str) -> str:
    """A digest of a case's files by name, size and time of change, of its clinical columns, and of more text."""
    told = []
    for role, scan in sorted(case.scans.items()):
        for name in scan.paths:
            try:
                state = (root / name).stat()
                told += [role, name, str(state.st_size), str(state.st_mtime_ns)]
            except OSError:
                told += [role, name, "missing"]
    known = [f"{name}={case.attributes.get(name, '')}" for name in recipe.clinical]
    return sha256_text([*more, *told, *known])
