"""`insula compare`: two models on the same cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.output import emit, json_option, progress
from insula.core.parts import need

if TYPE_CHECKING:
    from insula.bundle.types import Bundle
    from insula.core.types import Cohort
    from insula.evaluate.around import Asked
    from insula.evaluate.elsewhere import Predictions
    from insula.evaluate.outcome import EvaluationReport

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("first", type=_FILE, metavar="A")
@click.argument("second", type=_FILE, metavar="B")
@click.option("--cohort", type=_FILE, help="The table of cases; needed where A or B is a bundle.")
@click.option("--split", default="test", show_default=True, help="train, val, test, or all for an outside cohort.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the report.")
@click.option("--positive", default="", metavar="CLASS", help="For tables of predictions: what the probability is of.")
@json_option
def compare(
    first: Path, second: Path, cohort: Path | None, split: str, out: Path, positive: str, as_json: bool
) -> None:
    """Hold A against B, each a bundle or a CSV of predictions (case, patient, label, probability), on the same cases.

    Each is judged at its own threshold. ROC-AUCs are compared by DeLong's test, other figures by the paired bootstrap
    over patients, answers by McNemar's test; p-values are corrected together (Holm). Writes report.html, report.json.
    """
    need("evaluate", "Comparing models")
    from insula.evaluate import given, looks, ready
    from insula.evaluate.around import Asked
    from insula.evaluate.compare import compare as held
    from insula.evaluate.compare import names, of_report
    from insula.report import comparison, words

    models = [_model(path, positive) for path in (first, second)]
    one, other = names(first, second)
    table = given.cohort(cohort) if cohort else None
    ready.check(models, (one, other), table, split)
    places = looks.Places(looks.place(cohort or first, out), looks.register())
    asked = Asked(record=places.record, register=places.register, later=True, together=_together(models))
    a = _judged(models[0], table, split, asked)
    b = _judged(models[1], table, split, replace(asked, record=None, looks=a.looks))
    source = {"first": str(first), "second": str(second), "cohort": str(cohort or ""), "split": split}
    report = held(of_report(one, a), of_report(other, b), looks=a.looks, source=source)
    if a.looks:
        looks.count(places, a.looks.plan)
    page = comparison.write(report, out)
    emit(as_json, report.to_dict() | {"report": str(page)}, f"{report.summary(words.name)}\n\nReport: {page}")


def _model(path: Path, positive: str) -> Bundle | Predictions:
    from insula.evaluate import elsewhere, given

    return given.bundle(path) if path.is_dir() else elsewhere.load(path, elsewhere.Question(positive=positive))


def _together(models: Sequence[Bundle | Predictions]) -> dict[str, dict[str, float]]:
    """Model → thresholds, for the plan."""
    from insula.bundle.types import Bundle

    return {m.id: dict(m.decision.thresholds) if isinstance(m, Bundle) else {} for m in models}


def _judged(model: Bundle | Predictions, cohort: Cohort | None, split: str, asked: Asked) -> EvaluationReport:
    from insula.bundle.types import Bundle
    from insula.evaluate.foreign import evaluate_predictions
    from insula.evaluate.run import evaluate as judge
    from insula.infer.predict import Predictor
    from insula.scans.sandbox import shared

    if not isinstance(model, Bundle):
        return evaluate_predictions(model, cohort, asked=asked)
    assert cohort is not None  # noqa: S101 (ready.check asks for one)
    predictor = Predictor(model, reader=shared().start().read_files)
    return judge(
        model, cohort, split, lambda cases: progress(cases, model.recipe.name, len(cases)), predictor, asked=asked
    )
