"""The verb that pretrains an encoder without labels."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

import click

from insula.cli.output import emit, json_option, on_terminal, recipe_options
from insula.cli.training import bar, needs_torch

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("cohort", type=_FILE)
@recipe_options
@click.option("--out", type=_FILE, required=True, help="The run's folder.")
@click.option("--role", default="", help="Which input's encoder.  [default: the recipe's first]")
@click.option(
    "--cache", type=_FILE, default=Path("runs/cache"), show_default=True, help="Where prepared scans are kept."
)
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@json_option
def pretrain(
    cohort: Path,
    recipe: str,
    overrides: tuple[str, ...],
    out: Path,
    role: str,
    cache: Path,
    resume: bool,
    as_json: bool,
) -> None:
    """Pretrain an encoder on the slices of COHORT without their labels; train then takes OUT/encoder.safetensors.

    Patients of the val and test splits are left out. Keys: --set pretrain.method=vicreg|masked, pretrain.epochs and so
    on.
    """
    needs_torch()
    from insula.cohort.table import load
    from insula.core import recipe as recipes
    from insula.prep.check import checked
    from insula.train.pretrain import pretrain as run

    resolved = checked(recipes.load(recipe, overrides))

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    found = run(
        load(cohort), resolved, resolved.pretrain, out, cache,
        role=role, progress=bar, bars=on_terminal(), resume=resume, say=say,
    )  # fmt: skip
    figures = {"loss": found.loss, "spread": found.spread, "rank": found.rank}
    data: dict[str, Any] = {
        "file": str(found.file),
        "weights_sha256": found.weights_sha256,
        "epochs": found.epochs,
        "slices": found.slices,
        "patients": found.patients,
        **{name: value if isfinite(value) else None for name, value in figures.items()},
    }
    several = f"model.roles.{role}.pretrained" if role else "model.pretrained"
    emit(
        as_json,
        data,
        f"{found.epochs} epochs on {found.slices} slices of {found.patients} patients: loss {found.loss:.4f}, "
        f"spread of features {found.spread:.3f}, effective rank {found.rank:.1f}.\n"
        f"Start from it by: insula train … --set {several}={found.file}",
    )
