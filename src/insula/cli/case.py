"""One case on the command line: its scans by role, and what is known of the patient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from insula.core.errors import UsageError

if TYPE_CHECKING:
    from insula.core.recipe import Recipe


def pairs(texts: tuple[str, ...], recipe: Recipe, option: str) -> list[tuple[str, Path]]:
    """Role and path of each --scan; UsageError for a role that the recipe does not have."""
    found = [split(text, option) for text in texts]
    for role, _ in found:
        if role not in recipe.inputs:
            raise UsageError(f"{option} names the role '{role}', and the model takes {', '.join(recipe.inputs)}.")
    return [(role, Path(path)) for role, path in found]


def split(text: str, option: str) -> tuple[str, str]:
    """Name and value of NAME=VALUE; UsageError for anything else."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise UsageError(f"{option} '{text}' is not of the form NAME=VALUE.")
    return name, value
