"""`insula search`: hyperparameters by validation patients alone."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from insula.cli.number import Finite
from insula.cli.output import emit, json_option, on_terminal, recipe_options
from insula.core.errors import MissingPartError

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("cohort", type=_FILE)
@recipe_options
@click.option("--space", type=_FILE, required=True, help="YAML file: which keys of the recipe, and their values.")
@click.option("--trials", type=click.IntRange(min=1), default=40, show_default=True, help="Trials of the whole study.")
@click.option("--out", type=_FILE, required=True, help="Folder for the best recipe, the page and the trials.")
@click.option(
    "--sampler", type=click.Choice(["tpe", "random", "grid"]), default="tpe", show_default=True, help="What draws."
)
@click.option(
    "--pruner",
    type=click.Choice(["median", "hyperband", "none"]),
    default="median",
    show_default=True,
    help="What ends trials that fall behind.",
)
@click.option("--metric", default="val_loss", show_default=True, help="val_loss, auc, pr_auc, log_loss and more.")
@click.option("--folds", type=click.IntRange(2, 50), help="Score by the mean over patient folds of train and val.")
@click.option(
    "--store",
    default="",
    envvar="INSULA_SEARCH_STORE",
    metavar="URL",
    help="Database of the study, or INSULA_SEARCH_STORE.  [default: OUT/search.db]",
)
@click.option("--study-name", default="", help="Name of the study in the store.  [default: the recipe's name]")
@click.option("--timeout", type=Finite(min=0, min_open=True), help="Minutes after which no trial begins.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the draws.  [default: the recipe's]")
@click.option(
    "--cache", type=_FILE, default=Path("runs/cache"), show_default=True, help="Where prepared scans are kept."
)
@json_option
def search(
    cohort: Path,
    recipe: str,
    overrides: tuple[str, ...],
    space: Path,
    trials: int,
    out: Path,
    sampler: str,
    pruner: str,
    metric: str,
    folds: int | None,
    store: str,
    study_name: str,
    timeout: float | None,
    seed: int | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Search for the best values of a recipe's keys; COHORT's test split is never opened.

    The same command goes on with a search that was stopped, and several machines share one with --store and
    --study-name. Writes best.yaml (a recipe to train), trials.csv, search.json and search.html.
    """
    from insula.cli.training import bar, needs_torch

    needs_torch()
    for module in ("optuna", "sqlalchemy"):
        if find_spec(module) is None:
            raise MissingPartError("A search needs Optuna, which is not installed; run: pip install 'insula[train]'.")
    from insula.cohort.table import load
    from insula.core import recipe as recipes
    from insula.prep.check import checked
    from insula.workflows import search_space
    from insula.workflows.search import search as run
    from insula.workflows.search_results import manifest

    table = load(cohort)
    question = checked(recipes.load(recipe, overrides))
    result, page = run(
        table,
        question,
        search_space.load(space),
        out,
        cache,
        trials=trials,
        sampler=sampler,
        pruner=pruner,
        store=store,
        study_name=study_name,
        k=folds or 0,
        metric=metric,
        timeout=None if timeout is None else 60 * timeout,
        seed=seed,
        say=lambda line: click.echo(line, err=as_json),
        progress=bar,
        bars=on_terminal(),
    )
    best = result.best
    assert best is not None  # noqa: S101 - a search without one has raised
    values = "\n".join(f"  {key}: {value}" for key, value in best.values.items())
    text = f"Best {result.metric.title} {best.score:.4f}, trial {best.number}:\n{values}\n{result.optimism}\n"
    emit(as_json, manifest(result) | {"page": str(page)}, f"{text}Recipe: {out / 'best.yaml'}\nPage: {page}")
