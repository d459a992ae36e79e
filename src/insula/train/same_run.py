"""Whether a run that is to go on is the run that was begun: its recipe, and the cases that it trains and chooses on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from insula.core import recipe as recipes
from insula.core.errors import TrainingError
from insula.core.provenance import write_json, write_text
from insula.core.recipe import Recipe
from insula.core.types import Cohort

RECIPE, CASES = "recipe.yaml", "trained-on.json"
_WORDS = re.compile(r"targets\.[^.]+\.words(\.|$)")
_FREE = ("train.epochs", "train.patience", "question", "policy.", "audit.")  # change no weight, or only add epochs


def begin(folder: Path, recipe: Recipe, cohort: Cohort, resume: bool, shuffled: bool = False) -> None:
    """Write the recipe and what tells the cases apart into the run's folder.

    Raises TrainingError where a run that is to be resumed was begun with another recipe (more epochs, other patience
    and another policy are no other recipe) or on other cases; the folder is then left as it is.
    """
    content = {"cases": cases(recipe, cohort), "shuffled_labels": shuffled}
    if resume:
        _same_recipe(folder, recipe)
        _same_cases(folder, content)
    write_text(folder / RECIPE, recipes.dump(recipe))
    write_json(folder / CASES, content)


def cases(recipe: Recipe, cohort: Cohort) -> str:
    """A hash of the train and val cases: keys, patients, splits, labels, and the columns that the recipe reads."""
    told = {name for key, t in recipe.targets.items() for name in (key, t.column, t.time, t.event) if name}
    columns = sorted({*recipe.clinical, *told})
    rows = sorted(
        (case.key, case.patient, case.split, sorted(case.labels.items()), [case.attributes.get(n) for n in columns])
        for case in cohort.cases
        if case.split in ("train", "val")
    )
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _same_recipe(folder: Path, recipe: Recipe) -> None:
    begun = dict(_flat(recipes.load(folder / RECIPE).model_dump(mode="json", by_alias=True)))
    asked = dict(_flat(recipe.model_dump(mode="json", by_alias=True)))
    for key in sorted({*begun, *asked}):
        if not key.startswith(_FREE) and not _WORDS.match(key) and begun.get(key) != asked.get(key):
            raise TrainingError(
                f"'{folder}' was begun with {key} = {begun.get(key)!r}, and --resume asks for {asked.get(key)!r}; give "
                "the recipe and settings that it was begun with, or another --out."
            )


def _same_cases(folder: Path, content: dict[str, Any]) -> None:
    path = folder / CASES
    if not path.is_file():
        return
    if json.loads(path.read_text(encoding="utf-8")) != content:
        raise TrainingError(
            f"'{folder}' was begun on other train and val cases, or with other labels; to go on would mix what it was "
            "trained on with what it is judged on. Give the cohort that it was begun with, or another --out."
        )


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Keys as `section.key` with plain values; lists count as one value."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
