"""`insula optimise`: a bundle made smaller and faster, with what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from insula.cli.number import Finite
from insula.cli.output import emit, json_option, on_terminal, progress
from insula.cli.training import needs_torch
from insula.core.errors import UsageError


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("cohort", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The folder of the new bundle; new or empty."
)
@click.option(
    "--method",
    type=click.Choice(["int8", "channels", "weights", "distil"]),
    default="int8",
    show_default=True,
    help="8-bit integers; fewer channels; small weights set to zero; a small network taught by this one.",
)
@click.option(
    "--keep", type=Finite(0, 1, min_open=True), help="Share of channels or weights that stays.  [default: 0.5]"
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Of tuning after channels or weights are gone.  [default: 10]"
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="The student's, as for insula train.")
@click.option(
    "--calibrate",
    type=click.IntRange(min=1),
    help="Training cases that show the ranges of activations (int8).  [default: 100]",
)
@click.option(
    "--max-loss",
    type=click.FloatRange(0.0, 1.0),
    default=0.01,
    show_default=True,
    help="ROC-AUC that the interval of the difference may allow to be lost on the validation patients.",
)
@click.option(
    "--weights",
    type=click.Choice(["auto", "7", "8"]),
    help="Bits (int8): 7 where the bundle will run on CPUs without VNNI; auto asks this one.  [default: auto]",
)
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="CPU threads when timed.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=Path("runs/cache"),
    show_default=True,
    help="Where prepared scans are kept.",
)
@json_option
def optimise(
    bundle: Path,
    cohort: Path,
    out: Path,
    method: str,
    keep: float | None,
    epochs: int | None,
    overrides: tuple[str, ...],
    calibrate: int | None,
    max_loss: float,
    weights: str | None,
    threads: int,
    cache: Path,
    as_json: bool,
) -> None:
    """Write a smaller or faster BUNDLE, with what it costs; refused where it may cost more than --max-loss.

    \b
    int8      convolutions in 8-bit integers, about a quarter of the size,
              faster on most CPUs; nothing is trained
    channels  the weaker half of the channels taken out, the rest tuned again;
              smaller and faster
    weights   small weights become zero, the rest tuned again; neither smaller
              nor faster, for studies
    distil    one network, smaller by --set model.encoder=..., taught by this
              bundle's network or networks

    COHORT is the split table that it was trained on. The test split is not looked at; hold the bundles against each
    other on it by insula pareto or compare. What is trained stands in OUT.run and goes on when it was stopped.
    """  # noqa: D301 (click's mark for lines that are kept)
    needs_torch()
    _check(method, {"--keep": keep, "--epochs": epochs}, overrides, {"--calibrate": calibrate, "--weights": weights})
    from insula.bundle.load import load
    from insula.cohort import table
    from insula.export.goal import check_goal
    from insula.export.int8 import CALIBRATE, to_int8
    from insula.prep.cache import build_all
    from insula.workflows.optimise import EPOCHS, Way, Where, check_place, smaller

    def say(text: str) -> None:
        click.echo(text, err=True)

    check_goal(out, bundle)
    given, cases = load(bundle), table.load(cohort)
    way = Way(method, 0.5 if keep is None else keep, epochs or EPOCHS, overrides=overrides)
    if method != "int8":
        check_place(given, cases, way, out)
    seen = (*cases.of_split("train"), *cases.of_split("val"))
    prepared = build_all(
        seen, Path(cases.root), given.recipe, cache, lambda found: progress(found, "prepare", len(seen))
    )
    if method == "int8":
        made, cost = to_int8(
            given,
            cases,
            prepared,
            out,
            calibrate=calibrate or CALIBRATE,
            max_loss=max_loss,
            threads=threads,
            reduce_range=None if weights in (None, "auto") else weights == "7",
            say=say,
        )
    else:
        where = Where(cache, prepared, threads, max_loss, on_terminal(), say)
        made, cost = smaller(given, cases, way, where, out)
    text = f"Bundle {made.id} in {out}: {cost.size / cost.size_before:.2f} of the size, {cost.ms_before / cost.ms:.2f} "
    emit(as_json, {"bundle": str(out), "bundle_id": made.id, **cost.plain()}, f"{text}times as fast here.")


def _check(method: str, cut: Mapping[str, object], overrides: tuple[str, ...], integers: Mapping[str, object]) -> None:
    """UsageError for an option that the method does not read."""
    misplaced: dict[str, object] = {"--set": overrides or None} if method != "distil" else {}
    misplaced |= cut if method not in ("channels", "weights") else {}
    misplaced |= integers if method != "int8" else {}
    for option, value in misplaced.items():
        if value is not None:
            raise UsageError(f"{option} has no use with --method {method}; leave it out.")
