"""A bundle's weights as a network again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors.torch import load

from insula.bundle.load import read_verified
from insula.bundle.types import Bundle
from insula.core.errors import BundleError
from insula.core.recipe import Recipe
from insula.model.ensemble import Ensemble
from insula.model.network import Network, Shape
from insula.train.run import filled


def network(bundle: Bundle, shapes: Mapping[str, Shape]) -> Network | Ensemble:
    """The network of a bundle in evaluation on the CPU; shapes: role → (C, H, W), as the bundle's engine says.

    Raises BundleError where the weights do not fit the recipe. Whether they are the graph's own is for the caller to
    ask: a graph in integers has weights that give another answer.
    """
    return of_tensors(bundle.recipe, shapes, load(read_verified(bundle, "weights.safetensors")))


def of_tensors(recipe: Recipe, shapes: Mapping[str, Shape], tensors: Mapping[str, torch.Tensor]) -> Network | Ensemble:
    """The network of a recipe with a bundle's weights, as `network` gives it; BundleError where they do not fit."""
    count = recipe.model.members
    if count == 1:
        return _filled(recipe, shapes, tensors)
    each = [
        _filled(recipe, shapes, {k.removeprefix(f"members.{i}."): v for k, v in tensors.items() if _of(k, i)})
        for i in range(count)
    ]
    return Ensemble(each).eval()


def members(found: Network | Ensemble) -> tuple[Network, ...]:
    """The networks whose columns and maps are averaged: of an ensemble its members."""
    if isinstance(found, Network):
        return (found,)
    return tuple(member for member in found.members if isinstance(member, Network))


def _of(name: str, number: int) -> bool:
    return name.startswith(f"members.{number}.")


def _filled(recipe: Recipe, shapes: Mapping[str, Shape], tensors: Mapping[str, torch.Tensor]) -> Network:
    try:
        return filled(recipe, shapes, tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise BundleError(
            f"The bundle's file 'weights.safetensors' does not fit its recipe ({reason}); export the bundle again."
        ) from error
