"""One case on the command line: its scans by role, what is known of the patient, and reading both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from insula.core.errors import UsageError

if TYPE_CHECKING:
    from insula.core.recipe import Recipe
    from insula.core.types import FloatArray, Volume
    from insula.infer.predict import Predictor
    from insula.scans.sandbox import Sandbox


class ReadCase(NamedTuple):
    """The scans of one case as the network takes them, what has to be said of them, their header facts, and the scans
    themselves under `role`, `role.2` and so on.
    """

    views: dict[str, tuple[FloatArray, ...]]
    cautions: tuple[str, ...]
    headers: dict[str, str]
    volumes: dict[str, Volume]


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


def read_case(one: list[tuple[str, Path]], predictor: Predictor, pool: Sandbox, series: str | None) -> ReadCase:
    """Read and prepare the scans of one case, given as role and path."""
    views: dict[str, tuple[FloatArray, ...]] = {}
    cautions: list[str] = []
    headers: dict[str, str] = {}
    volumes: dict[str, Volume] = {}
    for role, path in one:
        volume = pool.read(path, tiles=predictor.bundle.recipe.inputs[role].tiles, series=series)
        slices, said = predictor.prepare(volume, role)
        views[role] = (*views.get(role, ()), slices)
        volumes[role if len(views[role]) == 1 else f"{role}.{len(views[role])}"] = volume
        cautions += said
        headers |= {k: v for k, v in volume.attributes.items() if k not in headers}
    return ReadCase(views, tuple(dict.fromkeys(cautions)), headers, volumes)
