"""Batches from the prepared caches: padded stacks of slices with masks, clinical columns and the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from insula.core.errors import TrainingError
from insula.core.labels import clinical, columns
from insula.core.recipe import Recipe
from insula.core.types import Case
from insula.prep.cache import Prepared

Tensors = dict[str, torch.Tensor]
Place = tuple[int, int]


class Batch(NamedTuple):
    """Inputs and labels of N samples.

    x: role → (N, S, C, H, W). mask: role → (N, B, S), 1 where a slice belongs to a bag. clinical: (N, D), NaN where
    missing. y: target → (N, label columns). known: target → (N,), 1 where the label is known.
    """

    x: Tensors
    mask: Tensors
    clinical: torch.Tensor
    y: Tensors
    known: Tensors


@dataclass(frozen=True)
class Sample:
    """One input of the network: for each role the rows of its cache, bag by bag; clinical columns; labels.

    places: role → (offset, count) of each bag, none where the case lacks the role. y: target → label columns, or None.
    """

    case: str
    patient: str
    places: Mapping[str, tuple[Place, ...]]
    clinical: tuple[float, ...]
    y: Mapping[str, tuple[float, ...] | None]


def samples(cases: Sequence[Case], prepared: Mapping[str, Prepared], recipe: Recipe) -> list[Sample]:
    """The network's inputs of some cases: a whole case, or each of its slices where the unit is one image.

    prepared: role → its cache. Left out are cases without a single prepared scan, and those without any label.
    """
    found: list[Sample] = []
    for case in cases:
        y = {name: columns(case, name, target) for name, target in recipe.targets.items()}
        places = {role: prepared[role].bags(case) for role in recipe.inputs}
        if all(v is None for v in y.values()) or not any(places.values()):
            continue
        extra = clinical(case.attributes, recipe.clinical)
        if recipe.input.unit == "image" and not recipe.fused:
            for offset, count in places[recipe.role]:
                one = [{recipe.role: ((offset + i, 1),)} for i in range(count)]
                found += [Sample(case.key, case.patient, place, extra, y) for place in one]
        else:
            found.append(Sample(case.key, case.patient, places, extra, y))
    return found


class SliceDataset(Dataset[tuple[Sample, dict[str, list[np.ndarray]]]]):
    """Samples with their bags as arrays (S, C, H, W) by role.

    limit: a random sorted choice of that many slices of a role, new in each epoch, shared among its bags; 0 takes all.
    hide: chance that a role which is there is hidden, and that the clinical columns are; one role always stays.
    """

    def __init__(
        self,
        rows: Sequence[Sample],
        prepared: Mapping[str, Prepared],
        limit: int = 0,
        seed: int = 0,
        hide: float = 0.0,
    ) -> None:
        self.rows, self.prepared, self.limit, self.seed, self.hide = rows, prepared, limit, seed, hide
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Sample, dict[str, list[np.ndarray]]]:
        row = self.rows[index]
        draw = np.random.default_rng((self.seed, self.epoch, index))
        found: dict[str, list[np.ndarray]] = {}
        hidden = self._hidden(row, draw)
        for role, places in row.places.items():
            chosen = [np.arange(offset, offset + count) for offset, count in places if role not in hidden]
            total = sum(len(c) for c in chosen)
            if self.limit and total > self.limit:
                keep = np.zeros(total, bool)
                keep[draw.choice(total, self.limit, replace=False)] = True
                parts = np.split(keep, np.cumsum([len(c) for c in chosen])[:-1])
                chosen = [c[k] for c, k in zip(chosen, parts, strict=True) if k.any()]
            found[role] = [np.asarray(self.prepared[role].slices[c]) for c in chosen]
        if "clinical" in hidden:
            row = Sample(row.case, row.patient, row.places, (float("nan"),) * len(row.clinical), row.y)
        return row, found

    def _hidden(self, row: Sample, draw: np.random.Generator) -> set[str]:
        if not self.hide:
            return set()
        there = [role for role, places in row.places.items() if places]
        hidden = {role for role in there if draw.random() < self.hide}
        if len(hidden) == len(there):
            hidden.discard(there[int(draw.integers(len(there)))])
        if row.clinical and draw.random() < self.hide:
            hidden.add("clinical")
        return hidden


class Collate:
    """Stacks samples of different numbers of slices and bags under masks; labels of a recipe's targets."""

    def __init__(self, recipe: Recipe, prepared: Mapping[str, Prepared]) -> None:
        self.targets = {name: target.label_columns for name, target in recipe.targets.items()}
        self.shapes = {role: cache.slices.shape[1:] for role, cache in prepared.items()}

    def __call__(self, items: Sequence[tuple[Sample, dict[str, list[np.ndarray]]]]) -> Batch:
        """One batch."""
        x, mask = {}, {}
        for role, shape in self.shapes.items():
            x[role], mask[role] = stack([found[role] for _, found in items], shape)
        y, known = {}, {}
        for name, width in self.targets.items():
            labels = [row.y[name] for row, _ in items]
            y[name] = torch.tensor([v if v is not None else (0.0,) * width for v in labels], dtype=torch.float32)
            known[name] = torch.tensor([float(v is not None) for v in labels])
        extra = torch.tensor([row.clinical for row, _ in items], dtype=torch.float32)
        return Batch(x, mask, extra, y, known)


def stack(cases: Sequence[Sequence[np.ndarray]], shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Bags (S, C, H, W) of each case as one padded (N, S, C, H, W) and its mask (N, B, S); at least one slice wide."""
    longest = max([1, *(sum(len(bag) for bag in bags) for bags in cases)])
    most = max([1, *(len(bags) for bags in cases)])
    x = torch.zeros(len(cases), longest, *shape)
    mask = torch.zeros(len(cases), most, longest)
    for i, bags in enumerate(cases):
        at = 0
        for b, bag in enumerate(bags):
            x[i, at : at + len(bag)] = torch.from_numpy(bag)
            mask[i, b, at : at + len(bag)] = 1.0
            at += len(bag)
    return x, mask


def labels(rows: Sequence[Sample], recipe: Recipe) -> tuple[Tensors, Tensors]:
    """Labels target → (N, label columns) and known target → (N,) of all samples."""
    y, known = {}, {}
    for name, target in recipe.targets.items():
        given = [row.y[name] for row in rows]
        y[name] = torch.tensor([v if v is not None else (0.0,) * target.label_columns for v in given])
        known[name] = torch.tensor([float(v is not None) for v in given])
    return y, known


def check_classes(rows: Sequence[Sample], recipe: Recipe, split: str) -> None:
    """TrainingError when a split is empty or lacks a class altogether: nothing could be learnt or measured of it."""
    given = [row.y[recipe.target_name] for row in rows if row.y[recipe.target_name] is not None]
    if not given:
        raise TrainingError(f"The {split} split has no usable labelled case; run `insula split` and `insula check`.")
    found = np.sum(np.array(given), axis=0)
    target, positive = recipe.target, recipe.target.positive_index
    missing = [c for c, n in zip(target.classes, found, strict=True) if n == 0]
    if split == "train" and missing and target.exclusive:
        raise TrainingError(f"The train split has no case of {', '.join(missing)}; add cases or remove the class.")
    if found[positive] in (0, len(given)):
        raise TrainingError(
            f"The {split} split holds {int(found[positive])} of {len(given)} cases with '{target.positive}'; "
            "it needs some with and some without: add patients or change the fractions of the split."
        )
