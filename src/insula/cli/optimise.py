"""`insula optimise`: a bundle made smaller and faster, with what that costs."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.output import emit, json_option, progress


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("cohort", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder of the new bundle.")
@click.option(
    "--calibrate",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Training cases that show the ranges of activations.",
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
    default="auto",
    show_default=True,
    help="Bits of a weight: 7 where the bundle will run on CPUs without VNNI; auto asks this one.",
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
    calibrate: int,
    max_loss: float,
    weights: str,
    threads: int,
    cache: Path,
    as_json: bool,
) -> None:
    """Write BUNDLE with its convolutions in 8-bit integers: about a quarter of the size, and faster on most CPUs.

    COHORT is the split table that it was trained on: training cases give the ranges, validation cases the thresholds
    and what the integers cost. The test split is not looked at; evaluate or compare the new bundle as any other.
    """
    from insula.cli.training import needs_torch

    needs_torch()
    from insula.bundle.load import load
    from insula.cohort import table
    from insula.export.int8 import to_int8
    from insula.prep.cache import build_all

    given, cases = load(bundle), table.load(cohort)
    seen = (*cases.of_split("train"), *cases.of_split("val"))
    prepared = build_all(
        seen, Path(cases.root), given.recipe, cache, lambda found: progress(found, "prepare", len(seen))
    )
    made, cost = to_int8(
        given,
        cases,
        prepared,
        out,
        calibrate=calibrate,
        max_loss=max_loss,
        threads=threads,
        reduce_range=None if weights == "auto" else weights == "7",
        say=lambda text: click.echo(text, err=True),
    )
    text = f"Bundle {made.id} in {out}: {cost.size / cost.size_before:.2f} of the size, {cost.ms_before / cost.ms:.2f} "
    emit(as_json, {"bundle": str(out), "bundle_id": made.id, **cost.plain()}, f"{text}times as fast here.")
