"""`insula evaluate`: one bundle, several seeds of it, or a table of predictions on one cohort, with a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from insula.cli.output import emit, json_option, progress
from insula.core.errors import UsageError
from insula.core.parts import need

if TYPE_CHECKING:
    from insula.core.types import Case
    from insula.evaluate.around import Asked
    from insula.evaluate.outcome import EvaluationReport

_FILE = click.Path(path_type=Path)
_WITHOUT = (
    "A column of the cohort that the metadata model must not see, since it tells the answer (a diagnosis, a lesion's "
    "age); may be given several times."
)


@click.command()
@click.argument("paths", type=_FILE, nargs=-1, metavar="[BUNDLE]... [COHORT]")
@click.option("--split", default="test", show_default=True, help="train, val, test, or all for an outside cohort.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the report.")
@click.option("--gallery", "each", default=3, show_default=True, type=click.IntRange(0, 50), help="Cases per outcome.")
@click.option(
    "--baselines/--no-baselines",
    default=True,
    show_default=True,
    help="Fit models that see no disease (metadata, border, thumbnail) on the cohort's training cases.",
)
@click.option("--without", multiple=True, metavar="NAME", help=_WITHOUT)
@click.option("--readers", type=_FILE, help="CSV of readers' answers: case and one column a reader.")
@click.option("--threshold", "thresholds", multiple=True, metavar="CLASS=VALUE", help="In place of the bundle's own.")
@click.option("--predictions", type=_FILE, help="CSV of predictions made elsewhere: case, patient, label, probability.")
@click.option("--positive", default="", metavar="CLASS", help="With --predictions: what the probability is of.")
@json_option
def evaluate(
    paths: tuple[Path, ...],
    split: str,
    out: Path,
    each: int,
    baselines: bool,
    without: tuple[str, ...],
    readers: Path | None,
    thresholds: tuple[str, ...],
    predictions: Path | None,
    positive: str,
    as_json: bool,
) -> None:
    """Judge BUNDLE on the labelled cases of COHORT (a table): figures with intervals, report.html, report.json.

    Several bundles of one recipe that differ in their seed are told by mean and range. With --predictions a table is
    judged with no bundle; COHORT may then give the cases their scans. The plan is written to OUT/evaluation-plan.json
    first, and each look is counted beside the cohort's table (COHORT.looks.jsonl) and in your own register of looks
    (INSULA_LOOKS), where the same cases are known again under another name.
    """
    need("evaluate", "Evaluating")
    from insula.evaluate.around import Asked
    from insula.evaluate.readers import load as load_readers

    asked = Asked(
        thresholds=_thresholds(thresholds),
        plan=out / "evaluation-plan.json",
        readers=load_readers(readers) if readers else None,
        baselines=baselines,
        without=without,
        reading=_reading,
    )
    _fitting(predictions is not None)
    if predictions:
        if len(paths) > 1:
            raise UsageError(f"With --predictions there is at most a COHORT, and paths given are {len(paths)}.")
        report, page = _predictions(predictions, paths[0] if paths else None, positive, out, asked)
    elif len(paths) < 2:
        raise UsageError("Give BUNDLE and COHORT, or --predictions FILE: insula evaluate BUNDLE COHORT --out FOLDER.")
    else:
        report, page = _bundles(paths[:-1], paths[-1], split, out, each, asked)
    from insula.report import text

    emit(as_json, report.to_dict() | {"report": str(page)}, f"{text.summary(report)}\n\nReport: {page}")


def _bundles(
    bundles: Sequence[Path], cohort: Path, split: str, out: Path, each: int, asked: Asked
) -> tuple[EvaluationReport, Path]:
    from insula.evaluate import given, looks, seeds
    from insula.evaluate.run import evaluate as judge
    from insula.infer.predict import Predictor
    from insula.report import folder
    from insula.scans.sandbox import shared

    pool = shared().start()  # wakes up while the bundle is loaded
    models, table = [given.bundle(path) for path in bundles], given.cohort(cohort)
    seeds.check([model.recipe for model in models])
    given.check_without(table, asked.without)
    asked = replace(
        asked,
        record=looks.place(cohort, out),
        register=looks.register(),
        together={m.id: {**m.decision.thresholds, **asked.thresholds} for m in models} if len(models) > 1 else {},
    )
    reports: list[EvaluationReport] = []
    page = out
    for number, model in enumerate(models, start=1):
        predictor = Predictor(model, reader=pool.read_files)
        report = judge(model, table, split, _judging, predictor, asked=asked)
        reports.append(report)
        if len(models) > 1:
            folder.write(report, model, table, out / f"{number}-{model.id}", each, predictor)
        if number == 1:
            asked = replace(asked, looks=report.looks, baselines=False, plan=None)
    whole = seeds.over(reports) if len(reports) > 1 else reports[0]
    page = folder.write(whole, models[0], table, out, each, Predictor(models[0], reader=pool.read_files))
    return whole, page


def _predictions(
    path: Path, cohort: Path | None, positive: str, out: Path, asked: Asked
) -> tuple[EvaluationReport, Path]:
    from insula.evaluate import elsewhere, given, looks
    from insula.evaluate.foreign import evaluate_predictions
    from insula.report import folder

    theirs = elsewhere.load(path, elsewhere.Question(positive=positive, thresholds=asked.thresholds))
    record, answers = looks.place(cohort or path, out), asked.readers or theirs.readers or None
    asked = replace(asked, record=record, register=looks.register(), readers=answers)
    if cohort is None:
        asked = replace(asked, baselines=False)
    table = given.cohort(cohort) if cohort else None
    if table:
        given.check_without(table, asked.without)
    report = evaluate_predictions(theirs, table, asked=asked)
    return report, folder.write_figures(report, out)


def _fitting(predictions: bool) -> None:
    """Raise UsageError for an option that says nothing in this use of the verb."""
    context = click.get_current_context()
    names = {"split": "--split", "each": "--gallery"} if predictions else {"positive": "--positive"}
    for name, option in names.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            use = "has no use with" if predictions else "is for"
            raise UsageError(f"{option} {use} --predictions; leave it out.")


def _thresholds(given: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not name or not equals or not 0.0 <= number <= 1.0:
            raise UsageError(f"'{text}' is no threshold; write CLASS=VALUE with a value from 0 to 1.")
        found[name] = number
    return found


def _judging(cases: Sequence[Case]) -> Iterable[Case]:
    return progress(cases, "evaluate", len(cases))


def _reading(cases: Sequence[Case]) -> Iterable[Case]:
    return progress(cases, "read pictures", len(cases))
