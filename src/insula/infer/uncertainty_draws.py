"""Draws of one case's answer: the network's columns once for each dropout pass, view or member."""

from __future__ import annotations

import numpy as np

from insula.core.recipe import Recipe
from insula.core.recipe_policy import Source
from insula.core.types import FloatArray
from insula.infer import sampling, views
from insula.infer.engine import CHUNK, Engine, Outputs
from insula.infer.feed import Feed


def why_none(source: Source, recipe: Recipe, outputs: Outputs) -> str:
    """Why a source has no draws for this model, or "" when it has some."""
    if source == "dropout" and recipe.model.dropout == 0.0:
        return "no spread: the model has no dropout"
    if source == "views" and not views.of_recipe(recipe.train.augment):
        return "no spread over views: the network was trained without mirroring, turning, moving or zooming"
    if source == "members" and (outputs.members is None or outputs.members.shape[1] < 2):
        alone = recipe.model.members == 1
        why = "the model is one network" if alone else "the bundle is older than they; export the ensemble again"
        return f"no spread over members: {why}"
    return ""


def draw(source: Source, engine: Engine, recipe: Recipe, feed: Feed, outputs: Outputs, passes: int) -> FloatArray:
    """Columns (T, N, K) of the N inputs of a case whose plain run gave `outputs`; of views the plain one is the first.

    passes: of dropout. The same case always gets the same draws. ValueError where `why_none` gives a reason.
    """
    reason = why_none(source, recipe, outputs)
    if reason:
        raise ValueError(reason)
    if source == "dropout":
        return sampling.sample(engine, outputs.embedding, passes, recipe.model.dropout, recipe.seed)
    if outputs.members is not None and source == "members":
        return outputs.members.transpose(1, 0, 2)
    count, columns = outputs.logits.shape
    shown = views.feeds(feed, engine.roles, views.of_recipe(recipe.train.augment), CHUNK)
    return np.concatenate(
        [outputs.logits[None], *(engine.run(one).logits.reshape(-1, count, columns) for one in shown)]
    )
