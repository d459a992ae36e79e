"""What the model graph is fed with: one case's slices by role and bag, masks, clinical columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from insula.core.errors import LimitError, UnsuitableScanError
from insula.core.recipe import Recipe
from insula.core.types import FloatArray

MOST_SLICES = 1024
Views = Mapping[str, tuple[FloatArray, ...]]
Feed = dict[str, FloatArray]


def of_case(
    views: Views, clinical: Sequence[float], shapes: Mapping[str, tuple[int, int, int]], recipe: Recipe
) -> Feed:
    """One case as one input, or each of its slices as its own (unit `image`); graph input → array.

    views: role → slices (S, C, H, W) of each scan; a role may be missing. clinical: as `core.labels.clinical` gives it.
    shapes: role → (C, H, W) that the network takes. Raises UnsuitableScanError for slices of another shape, LimitError
    for more than `MOST_SLICES` slices of one role, since all of them are in memory at once.
    """
    for role, bags in views.items():
        for bag in bags:
            if bag.shape[1:] != shapes[role]:
                raise UnsuitableScanError(
                    f"The prepared scan is {bag.shape[1:]} (channels, height, width), and the network takes "
                    f"{shapes[role]} for '{role}'; check the recipe's prep steps."
                )
    if recipe.input.unit == "image" and not recipe.fused:
        slices = np.concatenate(views[recipe.role])
        return {recipe.role: slices[:, None], f"{recipe.role}_mask": np.ones((len(slices), 1, 1), np.float32)}
    feed: Feed = {}
    for role in recipe.inputs:
        bags = views.get(role, ())
        count = sum(len(bag) for bag in bags)
        if count > MOST_SLICES:
            raise LimitError(
                f"The series has {count} slices and one prediction takes at most {MOST_SLICES}; "
                "add a 'pick_slices' step to the recipe, or give thicker slices."
            )
        if not bags:
            feed[role] = np.zeros((1, 1, *shapes[role]), np.float32)
            feed[f"{role}_mask"] = np.zeros((1, 1, 1), np.float32)
            continue
        feed[role] = np.concatenate(bags)[None]
        mask = np.zeros((1, len(bags), count), np.float32)
        at = 0
        for b, bag in enumerate(bags):
            mask[0, b, at : at + len(bag)] = 1.0
            at += len(bag)
        feed[f"{role}_mask"] = mask
    if recipe.clinical:
        feed["clinical"] = np.array([clinical], np.float32)
    return feed
