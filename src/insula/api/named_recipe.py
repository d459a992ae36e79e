"""Recipes by name, by file, or as they are, with keys changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from insula.core import recipe as kept
from insula.core.errors import UsageError
from insula.core.recipe import Recipe, names
from insula.prep.check import checked

AnyRecipe: TypeAlias = str | Path | Recipe


def recipes() -> tuple[str, ...]:
    """The names of the recipes that come with Insula."""
    return names()


def recipe(source: AnyRecipe, settings: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by its name, by the path of a YAML file, or one that is there, with some of its keys changed.

    settings: as `--set` on the command line, `{"train.epochs": 5, "model.encoder": "simple_cnn"}`. Raises RecipeError
    for a name or a key that does not exist, and for a value out of its range.
    """
    changes = tuple(f"{key}={_written(key, value)}" for key, value in (settings or {}).items())
    if isinstance(source, Recipe):
        return checked(kept.changed(source.model_dump(mode="json", by_alias=True), changes, source.name))
    return checked(kept.load(source, changes))


def _written(key: str, value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"The setting '{key}' is {value!r}; give a number, a text, a list or a mapping.") from error
