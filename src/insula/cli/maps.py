"""`insula maps`: the heat maps of a bundle judged on a cohort."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.output import emit, json_option, progress
from insula.core.parts import need

if TYPE_CHECKING:
    from insula.core.types import Case

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=_PATH)
@click.argument("cohort", type=_PATH)
@click.option("--out", required=True, type=_PATH, help="Folder for maps.html, maps.json and maps.csv.")
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="Whose maps are judged.",
)
@click.option(
    "--method",
    default="class_map",
    show_default=True,
    metavar="NAME",
    help="class_map, occlusion, grad_cam_pp, integrated_gradients, guided_backprop or attention_rollout.",
)
@click.option("--class", "class_name", default="", help="The class whose maps they are; the positive one if left out.")
@click.option(
    "--most",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="Cases at most, drawn evenly over patients.",
)
@click.option(
    "--steps", type=click.IntRange(2, 500), default=16, show_default=True, help="Of the deletion and insertion curves."
)
@click.option(
    "--draws",
    type=click.IntRange(1, 100),
    default=2,
    show_default=True,
    help="Random orders that the heat's order is held against.",
)
@click.option(
    "--sanity/--no-sanity",
    default=None,
    help="Draw the network's weights anew and compare the maps (needs PyTorch).  [default: where PyTorch is installed]",
)
@click.option(
    "--networks", type=click.IntRange(1, 100), default=3, show_default=True, help="Networks that are drawn whole."
)
@click.option("--shuffled", type=_PATH, help="A bundle of the same recipe, trained with --shuffle-labels.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is drawn at random.")
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of one prediction.")
@json_option
def maps(
    bundle: Path,
    cohort: Path,
    out: Path,
    split: str,
    method: str,
    class_name: str,
    most: int,
    steps: int,
    draws: int,
    sanity: bool | None,
    networks: int,
    shuffled: Path | None,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Judge the heat maps of BUNDLE on the cases of COHORT in which a class is called present.

    Where the heat lies (cases with a lesion mask), what happens to the probability as the hottest parts are covered or
    shown alone, and what becomes of the maps when the network's weights are drawn anew. OUT gets a page, maps.json and
    a table with a row a case.
    """
    need("evaluate", "Judging heat maps")
    from typing import cast

    from insula.bundle.load import load
    from insula.cohort.table import load as load_cohort
    from insula.core.errors import MissingPartError
    from insula.core.types import Split
    from insula.report import maps_page
    from insula.workflows.maps import Wanted, score

    torch = find_spec("torch") is not None
    if sanity and not torch:
        raise MissingPartError(
            "Drawing weights anew needs PyTorch, which is not installed; run: pip install 'insula[train]', or give "
            "--no-sanity."
        )
    drawn = torch and method != "occlusion" if sanity is None else sanity
    wanted = Wanted(method, class_name, cast(Split, split), most, steps, draws, networks if drawn else 0, seed)
    report = score(load(bundle), load_cohort(cohort), wanted, load(shuffled) if shuffled else None, _progress, threads)
    files = maps_page.write(report, out)
    emit(as_json, report.to_dict(), f"{maps_page.summary(report)}\nReport: {files[0]}")


def _progress(cases: Iterable[Case], label: str, total: int) -> Iterable[Case]:
    return progress(cases, label, total)
