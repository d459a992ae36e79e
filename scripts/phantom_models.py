"""Small ensembles trained on made patients, for the studies of uncertainty and refusal; kept in a folder and reused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.cohort.index import survey_cohort
from insula.cohort.phantom.make import make
from insula.cohort.split import split
from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.core.types import Cohort
from insula.export.ensemble import of_seeds
from insula.workflows.ensemble import train_members

SIZE, SLICES, SEED = 64, 12, 7
FRACTIONS = (0.45, 0.15, 0.4)
SETTINGS = {
    "haemorrhage-ct": (
        "inputs.ct.prep=[{windows: {value: [[40, 80]], pictures: as_shown}}, {resize: 64}]",
        "model.pool=max",
    ),
    "brain-tumour": ("inputs.mri.prep=[{percentile: [1, 99]}, {resize: 64}]", "model.pool=max"),
}


def recipe(kind: str, members: int, *more: str) -> Recipe:
    """The recipe that is shipped, with a small network from random weights at 64² pixels."""
    settings = (
        *SETTINGS[kind],
        "model.encoder=simple_cnn",
        "model.pretrained=false",
        f"model.members={members}",
        "train.lr=0.003",
        "train.epochs=12",
        *more,
    )
    return recipes.load(kind, settings)


def cohort(kind: str, work: Path, count: int, seed: int = SEED) -> Cohort:
    """Made patients, split by patient: 45% to train, 15% to validate, 40% to test."""
    folder = work / f"{kind}-{count}-{seed}"
    if not folder.is_dir():
        print(f"[{kind}] making {count} patients", flush=True)
        make(kind, folder, count, seed, SIZE, SLICES)
    asked = recipe(kind, 1)
    return split(survey_cohort(folder, asked).cohort, asked, FRACTIONS)


def bundle(kind: str, work: Path, table: Cohort, members: int, *more: str) -> Bundle:
    """An ensemble of seeds trained on the cohort, or the one that an earlier run left, under the policy of today."""
    home = work / f"{kind}-{len(table.cases)}-models"
    asked = recipe(kind, members, *more)
    if not (home / "bundle").is_dir():
        runs = train_members(table, asked, home, work / "cache", say=lambda line: print(line, flush=True), resume=True)
        of_seeds(runs, table, home / "bundle")
    found = load(home / "bundle")
    return replace(found, recipe=found.recipe.model_copy(update={"policy": asked.policy}))
