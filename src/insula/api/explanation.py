"""Where in a scan a score comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from insula.api.result import Result
from insula.core.types import Heatmap
from insula.infer.explained_files import Shown


@dataclass(frozen=True, eq=False)
class Explanation:
    """The heat of one score over the scans of one case. It shows where a score comes from, not whether it is right.

    result: what was predicted. score: what the score is called, a class as a rule, of the question `of`. heatmaps: scan
    → heat, array (1, S, h, w), below 0 where it lowers the score. unit: of the heat. notes: what a reader has to know.
    slices: what was drawn, of each slice its shares of heat and weight. files: overlays (PNG), heat (NIfTI) and the
    rest, where a folder was given.
    """

    result: Result
    method: str
    of: str
    score: str
    heatmaps: Mapping[str, Heatmap]
    unit: str
    notes: tuple[str, ...]
    slices: tuple[Shown, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The overlays among the files, in the order of their names."""
        return tuple(sorted(file for file in self.files if file.suffix == ".png"))
