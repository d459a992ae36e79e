"""Verbs of the training wing: prepare, train, crossval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.output import emit, json_option, on_terminal, progress, recipe_options
from insula.core.errors import MissingPartError, UsageError

if TYPE_CHECKING:
    from insula.core.recipe import Recipe
    from insula.core.types import Case, Cohort

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("cohort", type=_FILE)
@recipe_options
@click.option(
    "--cache", type=_FILE, default=Path("runs/cache"), show_default=True, help="Where prepared scans are kept."
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Decode on a Ray cluster that sees the same files: `auto`, HOST:PORT or `local`.",
)
@json_option
def prepare(
    cohort: Path, recipe: str, overrides: tuple[str, ...], cache: Path, cluster: str | None, as_json: bool
) -> None:
    """Decode and prepare every scan of COHORT once; training then reads memory-mapped arrays."""
    from insula.core import recipe as recipes
    from insula.prep.cache import build_all
    from insula.prep.check import checked
    from insula.scans.cluster_pool import ClusterPool

    table = _load(cohort)
    resolved = checked(recipes.load(recipe, overrides))
    cases = (*table.of_split("train"), *table.of_split("val")) or table.cases
    data, lines = {}, []
    with ClusterPool(cluster) if cluster else nullcontext() as pool:
        caches = build_all(cases, Path(table.root), resolved, cache, bar, pool)
    for role, prepared in caches.items():
        shape = prepared.slices.shape[1:]
        data[role] = {
            "scans": len(prepared.places),
            "slices": len(prepared.rows()),
            "shape": list(shape),
            "failures": prepared.failures,
        }
        lines.append(
            f"{role}: {len(prepared.places)} scans, {len(prepared.rows())} slices of {'×'.join(map(str, shape))}."
        )
        lines += [f"not prepared: {key}: {reason}" for key, reason in prepared.failures.items()]
    emit(as_json, data, "\n".join(lines))


@click.command()
@click.argument("cohort", type=_FILE)
@recipe_options
@click.option("--out", type=_FILE, required=True, help="The run's folder.")
@click.option(
    "--cache", type=_FILE, default=Path("runs/cache"), show_default=True, help="Where prepared scans are kept."
)
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option("--export/--no-export", "exported", default=True, show_default=True, help="Write the bundle too.")
@click.option("--devices", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes on this machine.")
@click.option("--nodes", type=click.IntRange(1, 1024), default=1, show_default=True, help="Machines (torchrun, SLURM).")
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "cpu", "gpu", "mps"]),
    default="auto",
    show_default=True,
    help="What computes.",
)
@click.option("--shuffle-labels", "shuffled", is_flag=True, help="Shuffle labels over patients: a control run.")
@click.option("--tracker", "trackers", multiple=True, help="Also log to tensorboard, mlflow or wandb; several times.")
@json_option
def train(
    cohort: Path,
    recipe: str,
    overrides: tuple[str, ...],
    out: Path,
    cache: Path,
    resume: bool,
    exported: bool,
    devices: int,
    nodes: int,
    accelerator: str,
    shuffled: bool,
    trackers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train on the train split of COHORT, choose the epoch on its val split, and write OUT/bundle.

    A recipe with model.members above 1 trains that many networks and writes them as one bundle.
    """
    needs_torch()
    from insula.core import recipe as recipes
    from insula.prep.check import checked
    from insula.train.fit import fit

    table = _load(cohort)
    resolved = checked(recipes.load(recipe, overrides))
    say = _say(as_json)
    if resolved.model.members > 1:
        if devices * nodes > 1:
            raise UsageError("Members of an ensemble are trained one after another; leave out --devices and --nodes.")
        _train_members(table, resolved, out, cache, resume, exported, trackers, as_json)
        return
    result = fit(
        table,
        resolved,
        out,
        cache,
        progress=bar,
        bars=on_terminal(),
        resume=resume,
        say=say,
        trackers=trackers,
        devices=devices,
        nodes=nodes,
        accelerator=accelerator,
        shuffled=shuffled,
    )
    data: dict[str, object] = {
        "run": str(out),
        "epochs": result.epochs,
        "val_loss": result.best_loss,
        "weights_sha256": result.weights_sha256,
    }
    text = (
        f"{result.epochs} epochs, lowest validation loss {result.best_loss:.4f}, weights {result.weights_sha256[:16]}."
    )
    if exported:
        from insula.export.finish import finish
        from insula.train.shuffle import shuffle_labels

        seen = shuffle_labels(table, resolved) if shuffled else table
        bundle, parity = finish(result, seen, out / "bundle")
        data |= {"bundle": str(out / "bundle"), "bundle_id": bundle.id, "parity": parity.logits}
        text += f"\nBundle {bundle.id} in {out / 'bundle'}: equals the network within {parity.logits:.1e}."
    emit(as_json, data, text)


def _train_members(
    table: Cohort,
    recipe: Recipe,
    out: Path,
    cache: Path,
    resume: bool,
    exported: bool,
    trackers: tuple[str, ...],
    as_json: bool,
) -> None:
    from insula.workflows.ensemble import export_members, train_members

    runs = train_members(
        table,
        recipe,
        out,
        cache,
        say=_say(as_json),
        progress=bar,
        bars=on_terminal(),
        resume=resume,
        trackers=trackers,
    )
    data: dict[str, object] = {"run": str(out), "members": [run.weights_sha256 for run in runs]}
    text = f"{len(runs)} networks trained."
    if exported:
        bundle, parity = export_members(runs, table, out)
        data |= {"bundle": str(out / "bundle"), "bundle_id": bundle.id, "parity": parity.logits}
        text += f"\nBundle {bundle.id} in {out / 'bundle'}: equals the mean of the networks within {parity.logits:.1e}."
    emit(as_json, data, text)


@click.command()
@click.argument("cohort", type=_FILE)
@recipe_options
@click.option("--folds", type=click.IntRange(2, 50), default=5, show_default=True, help="Number of folds.")
@click.option(
    "--level",
    type=click.Choice(["patient", "picture"]),
    default="patient",
    show_default=True,
    help="Split by patient, or by picture to see what a leak is worth (labelled as optimistic).",
)
@click.option("--out", type=_FILE, required=True, help="Folder for the folds and the pooled report.")
@click.option(
    "--cache", type=_FILE, default=Path("runs/cache"), show_default=True, help="Where prepared scans are kept."
)
@click.option(
    "--keep-duplicates-together",
    "together",
    is_flag=True,
    help="Look for duplicates first and keep each group of them in one fold.",
)
@click.option("--space", type=_FILE, help="Search each fold's recipe within its training patients; see insula search.")
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Trials of each search.")
@click.option("--metric", default="val_loss", show_default=True, help="What each search goes by.")
@click.option("--inner-folds", type=click.IntRange(2, 50), help="Score each trial by the mean over so many folds.")
@click.option("--shuffle-labels", "shuffled", is_flag=True, help="Shuffle labels over patients: a control run.")
@json_option
def crossval(
    cohort: Path,
    recipe: str,
    overrides: tuple[str, ...],
    folds: int,
    level: str,
    out: Path,
    cache: Path,
    together: bool,
    space: Path | None,
    trials: int,
    metric: str,
    inner_folds: int | None,
    shuffled: bool,
    as_json: bool,
) -> None:
    """Train one bundle a fold and evaluate the pooled out-of-fold predictions, with intervals over patients.

    With --space each fold's recipe is searched for first, without the fold's test cases: what is reported is then the
    worth of search and training together.
    """
    needs_torch()
    from insula.cli.cohort import duplicates
    from insula.core import recipe as recipes
    from insula.prep.check import checked
    from insula.workflows.crossval import crossval as run_folds

    table = _load(cohort)
    question, say = checked(recipes.load(recipe, overrides)), _say(as_json)
    tune = None
    if space is not None:
        from insula.workflows.search import tuner

        tune = tuner(question, space, cache, trials=trials, metric=metric, k=inner_folds or 0, say=say, progress=bar)
    groups = duplicates(table) if together else ()
    report, page = run_folds(
        table,
        question,
        folds,
        level,
        out,
        cache,
        say,
        bar,
        on_terminal(),
        tune=tune,
        together=groups,
        shuffled=shuffled,
    )
    from insula.report.text import summary

    text = f"{summary(report)}\nReport: {page}"
    if level == "patient" and tune is None:
        text += f"\nBundle of all folds: {out / 'bundle'}"
    emit(as_json, report.to_dict(), text)


def bar(cases: Iterable[Case]) -> Iterator[Case]:
    """A progress bar over cases that are being prepared."""
    listed = list(cases)
    return progress(listed, "prepare", len(listed))


def _load(path: Path) -> Cohort:
    from insula.cohort.table import load

    return load(path)


def _say(as_json: bool) -> Callable[[str], None]:
    return lambda line: click.echo(line, err=as_json)


def needs_torch() -> None:
    """Say what to install where the training wing is missing."""
    if find_spec("torch") is None or find_spec("lightning") is None:
        raise MissingPartError("Training needs PyTorch, which is not installed; run: pip install 'insula[train]'.")
