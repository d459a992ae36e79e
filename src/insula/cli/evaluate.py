"""`insula evaluate`: one bundle on one cohort, with a report."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.output import emit, json_option, progress


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("cohort", type=click.Path(path_type=Path))
@click.option("--split", default="test", show_default=True, help="train, val, test, or all for an outside cohort.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the report.")
@click.option("--gallery", "each", default=3, show_default=True, type=click.IntRange(0, 50), help="Cases per outcome.")
@json_option
def evaluate(bundle: Path, cohort: Path, split: str, out: Path, each: int, as_json: bool) -> None:
    """Judge BUNDLE on the labelled cases of COHORT (a table): figures with intervals, report.html, report.json."""
    from insula.bundle.load import load
    from insula.cohort.table import load as load_cohort
    from insula.evaluate.run import evaluate as judge
    from insula.infer.predict import Predictor
    from insula.report import folder, text
    from insula.scans.sandbox import shared

    pool = shared().start()  # wakes up while the bundle is loaded
    model, table = load(bundle), load_cohort(cohort)
    predictor = Predictor(model, reader=pool.read_files)
    report = judge(model, table, split, lambda cases: progress(cases, "evaluate", len(cases)), predictor)
    path = folder.write(report, model, table, out, each, predictor)
    emit(as_json, report.to_dict() | {"report": str(path)}, f"{text.summary(report)}\n\nReport: {path}")
