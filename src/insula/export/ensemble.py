"""Several runs of one recipe as one bundle: networks of other seeds, or those of the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from insula.bundle import save as bundles
from insula.bundle.types import Bundle
from insula.core.errors import ExportError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.export.finish import Measured, assemble, decide_on, even, measure, start
from insula.export.parity import Parity, check
from insula.model.ensemble import Ensemble
from insula.train.run import Run


def of_seeds(runs: Sequence[Run], cohort: Cohort, target: Path) -> tuple[Bundle, Parity]:
    """One bundle of networks that were trained on the same split, decided on its validation cases.

    Raises ExportError for runs of different recipes or sizes, or when the graph does not equal the networks.
    """
    return _finish(runs, cohort, target, None)


def of_folds(runs: Sequence[Run], folds: Sequence[Cohort], target: Path) -> tuple[Bundle, Parity]:
    """One bundle of the networks of a cross-validation; folds: the cohort as each of them was trained on it.

    Every case was fitted on by some member, so temperature, thresholds and quantiles come from the out-of-fold answers:
    each case as the one member gives it that never saw its patient. The average of all members is calmer than that, so
    they err towards caution.
    """
    parts = []
    for run, fold in zip(runs, folds, strict=True):
        engine, _ = start(run.network, run.shapes, run.recipe)
        parts.append(measure(engine, fold.of_split("test"), run.prepared, run.recipe))
    held_out = Measured(
        np.concatenate([p.logits for p in parts]),
        np.concatenate([p.embeddings for p in parts]),
        tuple(patient for p in parts for patient in p.patients),
        tuple(case for p in parts for case in p.cases),
    )
    first = folds[0]
    whole = Cohort(tuple(_as_train(case) for case in first.cases), first.root, first.split_level, first.patient_ids)
    return _finish(runs, whole, target, held_out)


def _finish(runs: Sequence[Run], cohort: Cohort, target: Path, held_out: Measured | None) -> tuple[Bundle, Parity]:
    first = runs[0]
    _check_alike(runs)
    recipe = first.recipe.model_copy(update={"model": first.recipe.model.model_copy(update={"members": len(runs)})})
    network = Ensemble([run.network for run in runs]).eval()
    engine, graphs = start(network, first.shapes, recipe)
    seen = (*cohort.of_split("val"), *cohort.of_split("train"))
    parity = check(network, engine, seen, first.prepared, recipe, limit=30)
    train = measure(engine, even(cohort.of_split("train"), 400), first.prepared, recipe)
    val = held_out or measure(engine, cohort.of_split("val"), first.prepared, recipe)
    decided = decide_on(val, train, recipe)
    own = val if held_out is None else train  # embeddings of the ensemble itself, for distances from training
    facts: dict[str, Any] = {
        "epochs": max(run.epochs for run in runs),
        "best_val_loss": float(np.mean([run.best_loss for run in runs])),
        "start": f"{len(runs)} networks averaged: " + ("other seeds" if held_out is None else "one of each fold"),
        "train_inputs": len(train.cases),
        "val_inputs": len(val.cases),
        "members": [run.weights_sha256 for run in runs],
    }
    weights = {
        f"members.{i}.{name}": value.contiguous().clone()
        for i, run in enumerate(runs)
        for name, value in run.network.state_dict().items()
    }
    parts = assemble(cohort, recipe, first.prepared, graphs, save(weights), decided, (train, own), parity, facts, val)
    return bundles.save(target, parts), parity


def _check_alike(runs: Sequence[Run]) -> None:
    def plain(recipe: Recipe) -> str:
        return recipe.model_copy(update={"seed": 0}).model_dump_json()

    if len({plain(run.recipe) for run in runs}) > 1 or len({str(run.shapes) for run in runs}) > 1:
        raise ExportError(
            f"The {len(runs)} runs differ in more than their seed; only networks of one recipe make an ensemble."
        )


def _as_train(case: Case) -> Case:
    return replace(case, split="train")
