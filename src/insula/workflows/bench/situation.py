"""A made cohort, a model trained on it, and everything else that a fault may lie in."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.cohort import index as cohort_index
from insula.cohort import split as cohort_split
from insula.cohort.phantom.make import make
from insula.cohort.phantom.plants import parse as plants_of
from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.export.finish import finish
from insula.prep.cache import build_all
from insula.train.fit import fit

KIND, TARGET, POSITIVE = "haemorrhage-ct", "bleed", "yes"
PATIENTS, PIXELS, SLICES = 300, 64, 8
FRACTIONS = (0.35, 0.15, 0.5)
EPOCHS = 25


@dataclass(frozen=True)
class Situation:
    """What check, leaks, evaluate and audit are given. thresholds: in place of the bundle's. given: a table of
    predictions made elsewhere, case → probability of a haemorrhage.
    """

    cohort: Cohort
    bundle: Bundle
    thresholds: Mapping[str, float] = field(default_factory=dict)
    given: Mapping[str, float] | None = None


def recipe(seed: int) -> Recipe:
    """Is there a haemorrhage: a small network on small pictures, which learns its phantoms in a minute of one core."""
    return recipes.parse(
        {
            "name": "audit-bench",
            "question": "Is there a haemorrhage on this made head CT?",
            "seed": seed,
            "inputs": {
                "ct": {"modality": "CT", "prep": [{"windows": [[40, 80], [600, 2800]]}, {"resize": 48}]},
            },
            "targets": {TARGET: {"kind": "binary", "classes": ["no", POSITIVE]}},
            "model": {"encoder": "simple_cnn", "pool": "max", "dropout": 0.2},
            "train": {"epochs": EPOCHS, "patience": EPOCHS, "batch": 4, "lr": 0.003, "class_weights": False},
        },
        "audit-bench",
    )


def cohort(folder: Path, seed: int, plants: Sequence[str] = (), patients: int = PATIENTS) -> Cohort:
    """Made patients, half of whom bleed, split by patient. plants: as `insula phantom --plant` takes them."""
    shutil.rmtree(folder, ignore_errors=True)
    make(KIND, folder, patients, seed, PIXELS, SLICES, plants=plants_of(plants))
    found = cohort_index.index(folder, recipes.load(KIND))
    asked = recipe(seed)
    found = replace(found, cases=tuple(_asked(case) for case in found.cases))
    return cohort_split.split(found, asked, FRACTIONS)


def _asked(case: Case) -> Case:
    kinds = case.labels[recipes.load(KIND).target_name]
    return replace(case, labels={TARGET: (POSITIVE if kinds else "no",)})


def trained(table: Cohort, folder: Path, seed: int) -> Bundle:
    """The bundle of a network that was trained on the cohort."""
    asked = recipe(seed)
    seen = (*table.of_split("train"), *table.of_split("val"))
    prepared = build_all(seen, Path(table.root), asked, folder / "cache")
    shutil.rmtree(folder / "run", ignore_errors=True)
    run = fit(table, asked, folder / "run", folder / "cache", prepared=prepared, accelerator="cpu")
    shutil.rmtree(folder / "bundle", ignore_errors=True)
    finish(run, table, folder / "bundle")
    return load(folder / "bundle")
