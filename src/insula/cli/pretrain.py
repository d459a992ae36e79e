"""The verb that pretrains an encoder without labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from insula.cli.output import emit, json_option, on_terminal, recipe_options
from insula.cli.training import bar, needs_torch
from insula.core.errors import RecipeError

if TYPE_CHECKING:
    from insula.train.pretrain_section import Pretrain

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

    own = tuple(o for o in overrides if o.startswith("pretrain."))
    resolved = checked(recipes.load(recipe, tuple(o for o in overrides if o not in own)))

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    found = run(
        load(cohort), resolved, _section(own), out, cache,
        role=role, progress=bar, bars=on_terminal(), resume=resume, say=say,
    )  # fmt: skip
    data: dict[str, Any] = {
        "file": str(found.file),
        "weights_sha256": found.weights_sha256,
        "epochs": found.epochs,
        "slices": found.slices,
        "patients": found.patients,
        "loss": found.loss,
        "spread": found.spread,
        "rank": found.rank,
    }
    several = f"model.roles.{role}.pretrained" if role else "model.pretrained"
    emit(
        as_json,
        data,
        f"{found.epochs} epochs on {found.slices} slices of {found.patients} patients: loss {found.loss:.4f}, "
        f"spread of features {found.spread:.3f}, effective rank {found.rank:.1f}.\n"
        f"Start from it by: insula train … --set {several}={found.file}",
    )


def _section(overrides: tuple[str, ...]) -> Pretrain:
    from pydantic import ValidationError

    from insula.train.pretrain_section import Pretrain

    content: dict[str, Any] = {}
    for override in overrides:
        key, _, raw = override.partition("=")
        place, names = content, key.split(".")[1:]
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = yaml.safe_load(raw)
    try:
        return Pretrain.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("pretrain", *first["loc"]))
        raise RecipeError(f"{key} = {first['input']!r}: {first['msg']}; change the value.") from error
