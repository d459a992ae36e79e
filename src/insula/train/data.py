"""Batches from the prepared cache: padded stacks of slices with a mask and the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from insula.core.errors import TrainingError
from insula.core.recipe import Recipe
from insula.core.types import Case
from insula.prep.cache import Prepared


class Batch(NamedTuple):
    """x (N, S, C, H, W), mask (N, S) with 1 for a real slice, y (N, K) with 1 for a class that is present."""

    x: torch.Tensor
    mask: torch.Tensor
    y: torch.Tensor


@dataclass(frozen=True)
class Sample:
    """One input of the network: some consecutive rows of the cache, and its labels (K,)."""

    offset: int
    count: int
    y: tuple[float, ...]


def samples(cases: Sequence[Case], prepared: Prepared, recipe: Recipe) -> list[Sample]:
    """The network's inputs of some cases: a whole case, or each of its slices where the unit is one image.

    Cases that could not be prepared or carry no label for the target are left out.
    """
    found: list[Sample] = []
    for case in cases:
        present = case.labels.get(recipe.target_name)
        if present is None or case.key not in prepared.places:
            continue
        y = tuple(float(c in present) for c in recipe.target.classes)
        offset, count = prepared.places[case.key]
        if recipe.input.unit == "image":
            found += [Sample(offset + i, 1, y) for i in range(count)]
        else:
            found.append(Sample(offset, count, y))
    return found


class SliceDataset(Dataset[tuple[np.ndarray, tuple[float, ...]]]):
    """Samples as arrays (S, C, H, W); with `limit`, a random sorted choice of that many slices, new in each epoch."""

    def __init__(self, rows: Sequence[Sample], prepared: Prepared, limit: int = 0, seed: int = 0) -> None:
        self.rows = rows
        self.prepared = prepared
        self.limit = limit
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, tuple[float, ...]]:
        row = self.rows[index]
        chosen = np.arange(row.offset, row.offset + row.count)
        if self.limit and row.count > self.limit:
            draw = np.random.default_rng((self.seed, self.epoch, index))
            chosen = np.sort(draw.choice(chosen, self.limit, replace=False))
        return np.asarray(self.prepared.slices[chosen]), row.y


class EpochSampler(Sampler[int]):
    """A permutation that depends on the seed and the epoch alone, so that a resumed run sees the same order."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch, 1)).permutation(self.count)
        return iter(order.tolist())


def collate(items: Sequence[tuple[np.ndarray, tuple[float, ...]]]) -> Batch:
    """Stack cases of different numbers of slices under a mask."""
    longest = max(len(x) for x, _ in items)
    x = torch.zeros(len(items), longest, *items[0][0].shape[1:])
    mask = torch.zeros(len(items), longest)
    for i, (slices, _) in enumerate(items):
        x[i, : len(slices)] = torch.from_numpy(slices)
        mask[i, : len(slices)] = 1.0
    return Batch(x, mask, torch.tensor([y for _, y in items], dtype=torch.float32))


def check_classes(rows: Sequence[Sample], recipe: Recipe, split: str) -> None:
    """TrainingError when a split is empty or lacks a class altogether: nothing could be learnt or measured of it."""
    if not rows:
        raise TrainingError(f"The {split} split has no usable labelled case; run `insula split` and `insula check`.")
    counts = np.sum([r.y for r in rows], axis=0)
    positive = recipe.target.positive_index
    missing = [c for c, n in zip(recipe.target.classes, counts, strict=True) if n == 0]
    if split == "train" and missing and recipe.target.kind == "multiclass":
        raise TrainingError(f"The train split has no case of {', '.join(missing)}; add cases or remove the class.")
    if counts[positive] in (0, len(rows)):
        raise TrainingError(
            f"The {split} split holds {int(counts[positive])} of {len(rows)} cases with '{recipe.target.positive}'; "
            "it needs some with and some without: add patients or change the fractions of the split."
        )
