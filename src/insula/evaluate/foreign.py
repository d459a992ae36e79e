"""Judging predictions that were made elsewhere, with no model at hand."""

from __future__ import annotations

from dataclasses import replace

from insula.core.errors import EvaluationError
from insula.core.types import Case, Cohort
from insula.evaluate import around
from insula.evaluate.around import Asked
from insula.evaluate.elsewhere import Predictions
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import REPLICATES, evaluate_table


def evaluate_predictions(
    given: Predictions, cohort: Cohort | None = None, replicates: int = REPLICATES, asked: Asked | None = None
) -> EvaluationReport:
    """The same report as for a bundle, of a table of predictions.

    cohort: gives the cases their scans and facts, so that trivial models can stand beside the headline; every case of
    the table must be in it, by its key. The guards that ask what a model was trained on cannot tell. Raises
    EvaluationError where table and cohort contradict each other.
    """
    asked, facts = asked or Asked(), given.facts
    where, chosen, split, notes = ground(given, cohort)
    owner = {case.key: case.patient for case in chosen}
    table = given.table.assign(patient=[owner[key] for key in given.table["case"]])
    laid = around.lay(
        facts,
        where,
        chosen,
        split,
        None,
        {},
        (),
        given.id,
        replicates,
        replace(asked, thresholds=facts.thresholds),
    )
    source = {
        "predictions": given.name,
        "sha256": given.sha256,
        "cohort": "" if cohort is None else cohort.root.rstrip("/").rpartition("/")[2],
        "split": split,
        "split_level": where.split_level,
        "patient_ids": where.patient_ids,
    }
    return around.finish(evaluate_table(table, facts, replicates, (), notes, (), source), laid)


def ground(given: Predictions, cohort: Cohort | None) -> tuple[Cohort, tuple[Case, ...], str, list[str]]:
    """The cohort with the table's labels, the cases to be judged, their split, and notes.

    Raises EvaluationError where table and cohort contradict each other.
    """
    facts, notes, split = given.facts, list[str](), "all"
    if cohort is None:
        where = Cohort(given.cases, "", "", given.patient_ids)
    else:
        target = _target(cohort, facts.positive)
        cases = _matched(given, cohort, target)
        mine = {case.key for case in cases}
        other = [case for case in cohort.cases if case.key not in mine]
        where = replace(cohort, cases=(*cases, *(_renamed(case, target, facts.target) for case in other)))
        splits = {case.split for case in cases}
        split = splits.pop() if len(splits) == 1 and "" not in splits else "all"
        if not target:
            notes.append(
                f"The cohort has no label '{facts.positive}', so it has no training cases for trivial models; name "
                "the positive class as the cohort does."
            )
    here = {case.key for case in given.cases}
    return where, tuple(case for case in where.cases if case.key in here), split, notes


def _target(cohort: Cohort, positive: str) -> str:
    """The cohort's target that has the positive class, "" where none or several have."""
    found = {name for case in cohort.cases for name, present in case.labels.items() if positive in present}
    return found.pop() if len(found) == 1 else ""


def _renamed(case: Case, target: str, name: str) -> Case:
    """A case with its label under the table's name."""
    return replace(case, labels={name: case.labels[target]} if target in case.labels else {})


def _matched(given: Predictions, cohort: Cohort, target: str) -> tuple[Case, ...]:
    """The table's cases with the scans, patients and facts of the cohort, and the table's labels."""
    known = {case.key: case for case in cohort.cases}
    unknown = [case.key for case in given.cases if case.key not in known]
    if unknown:
        raise EvaluationError(
            f"{len(unknown)} cases of {given.name} are not in the cohort, the first '{unknown[0]}'; the column case "
            "holds the cohort's keys (column key of its table)."
        )
    made = []
    for case in given.cases:
        own = known[case.key]
        if given.patient_ids and own.patient != case.patient:
            raise EvaluationError(
                f"Case '{case.key}' is of another patient in {given.name} than in the cohort; correct one of them."
            )
        positive = given.facts.positive
        told, theirs = case.labels[given.facts.target], own.labels.get(target)
        if theirs is not None and (positive in told) != (positive in theirs):
            raise EvaluationError(
                f"Case '{case.key}' is {'' if positive in told else 'not '}'{positive}' in {given.name} and in the "
                "cohort it is otherwise; correct one of them."
            )
        made.append(replace(own, labels=dict(case.labels), attributes={**own.attributes, **case.attributes}))
    return tuple(made)
