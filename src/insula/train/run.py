"""A finished training run: what it holds in memory, and how it is kept in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from insula.core import recipe as recipes
from insula.core.errors import TrainingError
from insula.core.provenance import record, sha256_file, write_json
from insula.core.recipe import Recipe
from insula.core.types import Cohort
from insula.model.narrow import as_wide_as
from insula.model.network import Network, Shape
from insula.prep.cache import Prepared, build_all
from insula.prep.check import checked

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, eq=False)
class Start:
    """A network that training goes on with, and the sentence that says where it comes from."""

    network: Network
    line: str


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, the best network, and the caches it was fitted on."""

    folder: Path
    recipe: Recipe
    network: Network
    prepared: Mapping[str, Prepared]
    weights_sha256: str
    epochs: int
    best_loss: float

    @property
    def shapes(self) -> dict[str, Shape]:
        """(C, H, W) of each role's prepared slices."""
        return shapes(self.prepared)


def shapes(prepared: Mapping[str, Prepared]) -> dict[str, Shape]:
    """(C, H, W) of the slices in each role's cache."""
    found = {}
    for role, cache in prepared.items():
        channels, height, width = cache.slices.shape[1:]
        found[role] = (int(channels), int(height), int(width))
    return found


def keep(
    folder: Path, recipe: Recipe, network: Network, prepared: Mapping[str, Prepared], facts: Mapping[str, Any]
) -> Run:
    """Write `weights.safetensors` and `run.json`, and give the run back with its network on the CPU, ready to export.

    facts: `epochs`, `best_val_loss`, `start` and whatever else the run has to say of itself.
    """
    network = network.cpu()
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous()
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / WEIGHTS)
    digest = sha256_file(folder / WEIGHTS)
    unprepared = sum(len(cache.failures) for cache in prepared.values())
    sizes = {role: list(shape) for role, shape in shapes(prepared).items()}
    said = record(recipe=recipe.name, weights_sha256=digest, **facts, sizes=sizes, unprepared=unprepared)
    write_json(folder / "run.json", said)
    return Run(folder, recipe, network.eval(), prepared, digest, facts["epochs"], facts["best_val_loss"])


def load_run(folder: Path, cohort: Cohort, cache: Path, prepared: Mapping[str, Prepared] | None = None) -> Run:
    """A run that was trained before, with its caches (opened already, or found under `cache`), ready to be exported."""
    if not (folder / WEIGHTS).is_file() or not (folder / "run.json").is_file():
        raise TrainingError(
            f"'{folder}' holds no finished run ({WEIGHTS}, run.json); train first, or go on with "
            "a run that was stopped by insula train --resume."
        )
    recipe = checked(recipes.load(folder / "recipe.yaml"))
    facts: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if prepared is None:
        cases = (*cohort.of_split("train"), *cohort.of_split("val"))
        prepared = build_all(cases, Path(cohort.root), recipe, cache)
    network = filled(recipe, {role: tuple(size) for role, size in facts["sizes"].items()}, load_file(folder / WEIGHTS))
    digest = sha256_file(folder / WEIGHTS)
    return Run(folder, recipe, network, prepared, digest, facts["epochs"], float(facts["best_val_loss"]))


def bare(recipe: Recipe, sizes: Mapping[str, Any]) -> Network:
    """The recipe's network for weights that are about to be loaded: nothing is fetched for its start."""
    roles = {k: v.model_copy(update={"pretrained": False}) for k, v in recipe.model.roles.items()}
    model = recipe.model.model_copy(update={"pretrained": False, "roles": roles})
    return Network(recipe.model_copy(update={"model": model}), sizes)


def filled(recipe: Recipe, sizes: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Network:
    """The recipe's network with these weights, and as wide as they are, in evaluation."""
    network = bare(recipe, sizes)
    as_wide_as(network, tensors)
    network.load_state_dict(tensors)
    return network.eval()
