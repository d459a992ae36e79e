"""What a layout is asked and what it answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from insula.cohort.found import Aside, Found
from insula.cohort.grouping import Member
from insula.core.recipe import Recipe
from insula.core.types import Split

SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Request:
    """One folder to be laid out for one recipe.

    found: the files that could be scans; aside: a list to which the layout adds what it leaves out, with reasons.
    table: the labels table in use, if any. pattern: finds the patient's id in a path. column: the table's column of
    labels. suffix: of NIfTI files, only those whose name ends with it are scans.
    """

    root: Path
    recipe: Recipe
    found: Sequence[Found]
    aside: list[Aside]
    table: Path | None = None
    pattern: re.Pattern[str] | None = None
    column: str | None = None
    suffix: str | None = None

    def patient_of(self, path: str) -> str | None:
        """The patient's id by the pattern, or None where it does not match."""
        match = self.pattern.search(path) if self.pattern else None
        return next((group for group in match.groups() if group), None) if match else None


@dataclass(frozen=True)
class Laid:
    """The files with their places. rows_without_scan: rows of a table for which there is no scan."""

    members: list[Member]
    rows_without_scan: int = 0


def stem(path: str) -> str:
    """The name of a file without its folder and its suffix (`.nii.gz` is one suffix)."""
    name = path.rpartition("/")[2]
    return name.removesuffix(".gz").removesuffix(".GZ").rpartition(".")[0] or name
