"""Which slices an encoder may be pretrained on, and the pairs that are made of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from insula.core.errors import TrainingError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.prep.cache import Prepared


@dataclass(frozen=True)
class Slice:
    """A row of the cache, the rows of its series in order and its place among them, and its patient."""

    row: int
    series: tuple[int, ...]
    place: int
    patient: str


def allowed(cohort: Cohort, recipe: Recipe) -> tuple[Case, ...]:
    """The cases that an encoder may see before training: those of the train split, and those without any split.

    No patient of the val or test split is among them, not by another case either (unless the split is by picture, which
    ignores patients). A cohort without a split will do if no case has a label of the recipe: nothing of it can be
    tested later. Raises TrainingError otherwise.
    """
    by_picture = cohort.split_level == "picture"
    held = set() if by_picture else {c.patient for c in cohort.cases if c.split in ("val", "test")}
    if not any(c.split for c in cohort.cases) and any(t in c.labels for c in cohort.cases for t in recipe.targets):
        raise TrainingError(
            "The cohort has labels and no split yet, so a patient who is tested later could be seen now; "
            "run `insula split` on it first."
        )
    found = tuple(c for c in cohort.cases if c.split in ("train", "") and c.patient not in held)
    if not found:
        raise TrainingError("No case of the cohort is free for pretraining: all stand in the val and test splits.")
    return found


def slices(cases: Sequence[Case], prepared: Prepared) -> list[Slice]:
    """Every prepared slice, series by series.

    Scans of one slice, as folders of pictures have them, make one series a patient, in the order of their cases' keys
    with numbers read as numbers.
    """
    series: list[tuple[str, tuple[int, ...]]] = []
    single: dict[str, list[int]] = {}
    for case in sorted(cases, key=lambda c: _in_order(c.key)):
        for offset, count in prepared.bags(case):
            if count == 1:
                single.setdefault(case.patient, []).append(offset)
            else:
                series.append((case.patient, tuple(range(offset, offset + count))))
    series += [(patient, tuple(rows)) for patient, rows in single.items()]
    return [Slice(row, rows, place, patient) for patient, rows in series for place, row in enumerate(rows)]


def _in_order(key: str) -> list[tuple[int, str]]:
    """A key by which 2.png comes before 10.png."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", key) if part]


class Views(Dataset[torch.Tensor]):
    """Slices as (1, C, H, W), or with a second one of the same series as (2, C, H, W).

    neighbours: how far from the first the second may lie, drawn anew in each epoch; None gives no second.
    """

    def __init__(self, rows: Sequence[Slice], prepared: Prepared, neighbours: int | None, seed: int) -> None:
        self.rows, self.prepared, self.neighbours, self.seed = rows, prepared, neighbours, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        chosen = [self.rows[index].row]
        if self.neighbours is not None:
            chosen.append(self.partner(index))
        return torch.from_numpy(np.stack([self.prepared.slices[row] for row in chosen]))

    def partner(self, index: int) -> int:
        """The row of the second slice: within `neighbours` of the first, in its series."""
        own, reach = self.rows[index], self.neighbours or 0
        low, high = max(own.place - reach, 0), min(own.place + reach, len(own.series) - 1)
        draw = np.random.default_rng((self.seed, self.epoch, index))
        return own.series[int(draw.integers(low, high + 1))]
