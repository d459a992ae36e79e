"""`insula embed`: what a network sees of each case of a cohort, kept as files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.output import emit, json_option, progress

if TYPE_CHECKING:
    from insula.core.types import Case

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=_PATH)
@click.argument("cohort", type=_PATH)
@click.option("--out", required=True, type=_PATH, help="Folder of the store; one that was begun is gone on with.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    default=("all",),
    show_default=True,
    help="train, val, test, or all; may be given several times.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of one prediction.")
@json_option
def embed(bundle: Path, cohort: Path, out: Path, splits: tuple[str, ...], threads: int | None, as_json: bool) -> None:
    """Keep what BUNDLE's network sees of each case of COHORT: its embedding, its answer, and a thumbnail.

    The store is what `insula similar` searches and `insula features` shows. It holds pictures and attributes of
    patients: keep it where the scans are kept. Killed and run again, it goes on where it was.
    """
    from insula.bundle.load import load
    from insula.cohort.table import load as load_cohort
    from insula.infer.embed import embed as run
    from insula.infer.predict import Predictor
    from insula.scans.sandbox import shared

    pool = shared().start()  # wakes up while the bundle is loaded
    predictor = Predictor(load(bundle), threads, reader=pool.read_files)
    done = run(predictor, load_cohort(cohort), splits, out, _embedding)
    data = {
        "bundle": predictor.bundle.id,
        "store": str(out),
        "rows": done.rows,
        "made": done.made,
        "kept": done.kept,
        "failed": done.failed,
    }
    lines = [f"{done.rows} cases in {out}: {done.made} made now, {done.kept} there before, {done.failed} failed."]
    if done.failed:
        lines.append(f"Why each failed stands in {out / 'failures.csv'}.")
    lines.append("Next: insula features, insula similar. Research use only.")
    emit(as_json, data, "\n".join(lines))


def _embedding(cases: Sequence[Case]) -> Iterable[Case]:
    return progress(cases, "embed", len(cases))
