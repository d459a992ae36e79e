"""Hyperparameter search: trials of a recipe on validation patients alone, kept in a store that can be gone on with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from insula.core import recipe as recipes
from insula.core.errors import TrainingError
from insula.core.provenance import sha256_text
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.workflows import search_space, search_study
from insula.workflows.search_metric import check_keys, check_metric
from insula.workflows.search_results import Search, of_study, write
from insula.workflows.search_run import run
from insula.workflows.search_space import Space
from insula.workflows.search_study import counted
from insula.workflows.search_training import seen, training


def search(
    cohort: Cohort,
    recipe: Recipe,
    space: Space,
    folder: Path,
    cache: Path,
    *,
    trials: int = 40,
    sampler: str = "tpe",
    pruner: str = "median",
    store: str = "",
    study_name: str = "",
    k: int = 0,
    metric: str = "val_loss",
    timeout: float | None = None,
    seed: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    bars: bool = False,
) -> tuple[Search, Path]:
    """Search the space until the study holds that many trials, and write what was found into the folder.

    The score is that of the val split after training on the train split, or with k the mean over k patient folds of
    both; test cases are taken out before anything else. store: a database address, by default `folder/search.db`.
    timeout: seconds after which no new trial begins. seed: of the draws, by default the recipe's. Returns the search
    and its page. Raises RecipeError for a space that does not fit, UsageError for a store that does not, TrainingError
    when every trial failed.
    """
    figure = check_metric(metric, recipe)
    check_keys(space, figure, recipe)
    seed = recipe.seed if seed is None else seed
    found = search_space.check(space, recipe, seed)
    kept = seen(cohort)
    draws = search_study.sampler(sampler, found, seed)
    total = min(trials, _points(found)) if sampler == "grid" else trials
    address = search_study.url(store, folder)
    objective = training(kept, recipe, found, figure, folder, cache, k, progress=progress, bars=bars)
    facts = {
        "recipe": sha256_text([recipes.dump(recipe)])[:16],
        "space": sha256_text([repr(sorted(found.items()))])[:16],
        "cohort": sha256_text(f"{c.key}\t{c.split}\t{sorted(c.labels.items())}" for c in kept.cases)[:16],
        "metric": metric,
        "folds": k,
    }
    name = study_name or recipe.name
    prunes = search_study.pruner(pruner, objective.steps)
    said = {
        "store": search_study.shown(address),
        "sampler": sampler,
        "pruner": pruner,
        "seed": seed,
        "trials": total,
        "facts": facts,
    }
    with search_study.opened(address, name, figure.maximise, facts, draws, prunes) as study:
        say(f"Study '{name}' in {said['store']}: {len(counted(study.get_trials()))} of {total} trials so far.")
        run(study, found, objective, total, timeout=timeout, say=say)
        result = of_study(study, found, recipe, figure, {**said, "cases": _sizes(kept), "folds": k})
    page = write(result, folder)
    if result.best is None:
        failed = [t for t in result.trials if t.state == "failed"]
        if failed:
            raise TrainingError(
                f"All {len(failed)} trials failed; the first one: {failed[0].reason} All reasons stand in {page}."
            )
        raise TrainingError("No trial has ended yet; run the same command again, with more time or more trials.")
    return result, page


def tuner(
    recipe: Recipe,
    space: Path,
    cache: Path,
    *,
    trials: int,
    metric: str = "val_loss",
    k: int = 0,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
) -> Callable[[Cohort, Path], Recipe]:
    """What finds the best recipe for a cohort, as one fold of a nested cross-validation asks for it.

    space: the file of the space, which is read and checked at once. A search that was stopped is gone on with.
    """
    found = search_space.load(space)
    check_keys(found, check_metric(metric, recipe), recipe)

    def tune(cohort: Cohort, folder: Path) -> Recipe:
        result, _ = search(
            cohort, recipe, found, folder, cache, trials=trials, k=k, metric=metric, say=say, progress=progress
        )
        if result.best is None:
            raise TrainingError("No trial has ended; run the same command again, with more trials.")
        values = ", ".join(f"{key} {value}" for key, value in result.best.values.items())
        say(f"[search] best {result.metric.title} {result.best.score:.4f}, trial {result.best.number}: {values}")
        return search_space.with_values(recipe, result.best.values)

    return tune


def _points(space: Space) -> int:
    return math.prod(len(values) for values in search_space.grid(space).values())


def _sizes(cohort: Cohort) -> dict[str, int]:
    return {
        name: len(units)
        for split in ("train", "val")
        for name, units in (
            (f"{split}_cases", cohort.of_split(split)),
            (f"{split}_patients", {c.patient for c in cohort.of_split(split)}),
        )
    }
