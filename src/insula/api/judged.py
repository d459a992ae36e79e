"""A model judged on a cohort: evaluation and audit, by the steps of their verbs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from insula.api.cohort import Cohort, opened
from insula.audit.outcome import AuditReport
from insula.core import types
from insula.core.parts import need
from insula.evaluate import given, looks
from insula.evaluate import run as judging
from insula.evaluate.around import Asked
from insula.evaluate.outcome import EvaluationReport
from insula.infer.predict import Predictor
from insula.report import audit_page, folder
from insula.workflows import audit as auditing

AnyCohort = str | Path | types.Cohort


def evaluate(
    predictor: Predictor,
    cohort: AnyCohort,
    out: Path | None,
    split: str,
    thresholds: Mapping[str, float],
    baselines: bool,
    without: Collection[str],
    gallery: int,
) -> EvaluationReport:
    """The report on a split of a cohort, written to a folder where one is given."""
    need("evaluate", "Evaluating")
    cases = opened(cohort)
    given.check_without(cases, without)
    asked = Asked(
        thresholds=thresholds,
        record=_record(cases, out),
        register=looks.register(),
        plan=None if out is None else out / "evaluation-plan.json",
        baselines=baselines,
        without=without,
    )
    report = judging.evaluate(predictor.bundle, cases, split, predictor=predictor, asked=asked)
    if out is not None:
        folder.write(report, predictor.bundle, cases, out, gallery, predictor)
    return report


def audit(
    predictor: Predictor,
    cohort: AnyCohort,
    out: Path,
    split: str,
    checks: Sequence[str],
    without: Collection[str],
    seed: int,
    replicates: int | None,
    sanity: bool | None,
) -> AuditReport:
    """The audit on a split of a cohort, written to a folder, with the evaluation that it stands on."""
    need("evaluate", "Auditing")
    cases = opened(cohort)
    given.check_without(cases, without)
    asked = Asked(
        record=_record(cases, out),
        register=looks.register(),
        plan=out / "evaluation-plan.json",
        baselines=True,
        without=without,
    )
    report, _ = auditing.run(
        predictor.bundle,
        cases,
        split,
        checks,
        asked,
        predictor,
        out / "journal",
        seed,
        judging.REPLICATES if replicates is None else replicates,
        sanity,
    )
    audit_page.write(report, out)
    return report


def _record(cases: types.Cohort, out: Path | None) -> Path | None:
    """Where the look is counted: beside the cohort's table, else in the report's folder, else nowhere."""
    table = cases.table if isinstance(cases, Cohort) else None
    if table is not None:
        return looks.place(table, out or table.parent)
    return None if out is None else looks.beside(out / "cohort")
