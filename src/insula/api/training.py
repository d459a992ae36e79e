"""Training on a cohort, by the steps of `insula train`."""

from __future__ import annotations

from pathlib import Path

from insula.api.model import Model, load
from insula.core.recipe import Recipe
from insula.core.types import Cohort
from insula.export.finish import finish
from insula.train.fit import fit
from insula.workflows.ensemble import export_members, train_members

BUNDLE = "bundle"


def train(cohort: Cohort, recipe: Recipe, out: Path, cache: Path, resume: bool) -> Model:
    """One network, or the members of an ensemble one after another; the bundle that they leave, opened."""
    if recipe.model.members > 1:
        runs = train_members(cohort, recipe, out, cache, say=lambda line: None, resume=resume)
        export_members(runs, cohort, out)
    else:
        finish(fit(cohort, recipe, out, cache, resume=resume), cohort, out / BUNDLE)
    return load(out / BUNDLE)
