"""What is given to the functions as a case: a path, a scan in memory, or scans by role."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from insula.core.errors import UsageError
from insula.core.recipe import Recipe
from insula.core.types import Volume

OneScan: TypeAlias = str | Path | Volume
AnyScan: TypeAlias = OneScan | Mapping[str, OneScan | Sequence[OneScan]]
Known: TypeAlias = Mapping[str, str | float]  # clinical columns by their names


def scans_of(scan: AnyScan, recipe: Recipe) -> list[tuple[str, Path | Volume]]:
    """Role and scan of each; a scan alone is of the recipe's first role. Raises UsageError for a role that is none."""
    if not isinstance(scan, Mapping):
        return [(recipe.role, _one(scan))]
    found: list[tuple[str, Path | Volume]] = []
    for role, given in scan.items():
        if role not in recipe.inputs:
            raise UsageError(f"The scans name the role '{role}', and the model takes {', '.join(recipe.inputs)}.")
        several = (given,) if isinstance(given, str | Path | Volume) else tuple(given)
        found += [(role, _one(one)) for one in several]
    if not found:
        raise UsageError(f"No scan is given; give one for at least one of: {', '.join(recipe.inputs)}.")
    return found


def known_of(known: Known | None, recipe: Recipe) -> dict[str, str]:
    """Clinical columns as texts, as the command line has them. Raises UsageError for one that the model lacks."""
    found = {}
    for name, value in (known or {}).items():
        if name not in recipe.clinical:
            there = ", ".join(recipe.clinical) or "it takes none"
            raise UsageError(f"'{name}' is no clinical column of this model; its columns: {there}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"'{name}' is {value}; give a number, or leave the column out where it is not known.")
        found[name] = str(value)
    return found


def case_name(scan: Path | Volume) -> str:
    """What the case is called: the last name of its first path, or where the scan in memory came from."""
    return scan.name if isinstance(scan, Path) else Path(scan.source).name or "scan"


def _one(scan: OneScan) -> Path | Volume:
    return Path(scan) if isinstance(scan, str) else scan
