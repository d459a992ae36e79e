"""One bundle on one cohort: the same judgement for a test set, an outside site and pooled folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from insula.bundle.types import Bundle
from insula.core.errors import EvaluationError, InsulaError
from insula.core.types import Case, Cohort, Prediction
from insula.evaluate import guards, localisation
from insula.evaluate.facts import Facts, answers, of_recipe
from insula.evaluate.figures import level, share
from insula.evaluate.outcome import EvaluationReport, Failure, Level
from insula.evaluate.table import Sample, by_patient, frame, sample
from insula.infer.decide import decide
from insula.infer.predict import Predictor
from insula.metrics.intervals import Figure
from insula.metrics.prevalence import at_prevalence

REPLICATES = 2000
Progress = Callable[[Sequence[Case]], Iterable[Case]]


class Predicts(Protocol):
    """Whatever predicts a case as `Predictor` does."""

    def case(self, case: Case, root: Path, passes: int = 0) -> Prediction:
        """The prediction of one case whose paths are relative to root."""
        ...


def evaluate(
    bundle: Bundle,
    cohort: Cohort,
    split: str = "test",
    progress: Progress | None = None,
    predictor: Predicts | None = None,
    passes: int | None = None,
    replicates: int = REPLICATES,
) -> EvaluationReport:
    """Predict every labelled case of a split ("all" for the whole cohort) and judge the predictions.

    progress wraps the cases, as `tqdm` does. passes: dropout passes per case, by default those of the bundle's policy.
    A case that cannot be predicted becomes an entry in `failures`. Raises EvaluationError when there is no labelled
    case or not one could be predicted.
    """
    recipe = bundle.recipe
    facts = of_recipe(recipe, bundle.decision.thresholds)
    cases, unlabelled = _cases(cohort, split, facts)
    predictor = predictor or Predictor(bundle)
    passes = recipe.policy.passes if passes is None else passes
    rows: list[dict[str, Any]] = []
    failures: list[Failure] = []
    notes = list(guards.notes(bundle))
    for case in progress(cases) if progress else cases:
        try:
            rows.append(
                _row(case, predictor.case(case, Path(cohort.root), passes=passes), bundle, facts, cohort, notes)
            )
        except (InsulaError, OSError, ValueError, MemoryError) as error:
            failures.append(Failure(case.key, str(error) or type(error).__name__))
    if not rows:
        raise EvaluationError(f"Not one of {len(cases)} cases could be predicted; the first: {failures[0].reason}")
    if unlabelled:
        notes.append(f"{unlabelled} cases without a label for '{facts.target}' were left out.")
    table = frame(
        [r["case"] for r in rows],
        [r["patient"] for r in rows],
        np.stack([r["p"] for r in rows]),
        np.stack([r["y"] for r in rows]),
        facts.classes,
        {name: [r[name] for r in rows] for name in rows[0] if name not in ("case", "patient", "p", "y")},
    )
    source = {
        "bundle": bundle.id,
        "recipe": recipe.name,
        "cohort": Path(cohort.root).name,
        "split": split,
        "split_level": cohort.split_level,
        "patient_ids": cohort.patient_ids,
        "temperature": bundle.decision.temperature,
        "passes": passes,
    }
    optimistic = guards.find(bundle, cohort, cases, split)
    return evaluate_table(table, facts, replicates, optimistic, notes, failures, source)


def evaluate_table(
    table: pd.DataFrame,
    facts: Facts,
    replicates: int = REPLICATES,
    optimistic: Sequence[str] = (),
    notes: Sequence[str] = (),
    failures: Sequence[Failure] = (),
    source: Mapping[str, Any] | None = None,
) -> EvaluationReport:
    """Judge a table of predictions (columns: see insula.evaluate.table), wherever they come from.

    Raises EvaluationError when the table and the facts do not fit together.
    """
    rows = sample(table, facts)
    pooled, mixed = by_patient(rows, facts)
    patient = level("patient", pooled, facts, replicates)
    several = len(pooled.keys) != len(rows.keys)
    case = level("case", rows, facts, replicates) if several else None
    extra = [f"{mixed} patients have cases with different labels; see how they were pooled."] if mixed else []
    figures = patient.classes[facts.positive].figures
    prevalence = tuple(
        row for p in facts.prevalences if (row := at_prevalence(figures["sensitivity"], figures["specificity"], p))
    )
    return EvaluationReport(
        facts=facts,
        source=dict(source or {}),
        headline=_headline(facts, patient, optimistic),
        optimistic=tuple(optimistic),
        notes=(*dict.fromkeys(notes), *extra),
        patient=patient,
        case=case,
        prevalence=prevalence,
        coverage=_coverage(table, rows, facts, replicates),
        domain=_domain(table, rows, facts, replicates),
        localisation=localisation.summary(table, replicates, facts.seed),
        failures=tuple(failures),
        table=table,
    )


def _cases(cohort: Cohort, split: str, facts: Facts) -> tuple[list[Case], int]:
    if split not in ("train", "val", "test", "all"):
        raise EvaluationError(f"There is no split '{split}'; write train, val, test or all.")
    chosen = [case for case in cohort.cases if split in ("all", case.split)]
    labelled = [case for case in chosen if facts.target in case.labels]
    if not chosen:
        raise EvaluationError(
            f"The cohort has no case in the split '{split}'; split it first (insula split), or pass --split all to "
            "take every case of an outside cohort."
        )
    if not labelled:
        raise EvaluationError(
            f"Not one of {len(chosen)} cases is labelled for '{facts.target}'; index with its labels."
        )
    for case in labelled:
        unknown = sorted(set(case.labels[facts.target]) - set(facts.classes))
        if unknown:
            raise EvaluationError(f"The cohort labels a case '{unknown[0]}', which is none of {list(facts.classes)}.")
    return labelled, len(chosen) - len(labelled)


def _row(
    case: Case, prediction: Prediction, bundle: Bundle, facts: Facts, cohort: Cohort, notes: list[str]
) -> dict[str, Any]:
    p = np.asarray(prediction.probabilities, dtype=np.float64)
    y = np.array([name in case.labels[facts.target] for name in facts.classes])
    row: dict[str, Any] = {"case": case.key, "patient": case.patient, "p": p, "y": y}
    row["action"] = decide(prediction, bundle).action
    row["domain_score"] = float(prediction.domain_score)
    for k, name in enumerate(facts.classes):
        row[f"spread_{name}"] = float("nan") if prediction.spread is None else float(prediction.spread[k])
    row |= {"peak_inside": float("nan"), "heat_inside": float("nan"), "lesion_share": float("nan")}
    k, role = facts.positive_index, bundle.recipe.role
    if y[k] and answers(p[None], facts)[0, k] and role in prediction.heatmaps:
        try:
            found = localisation.of_case(
                case, role, Path(cohort.root), prediction.heatmaps[role], k, bundle.recipe.input
            )
        except InsulaError as error:
            notes.append(f"A lesion mask could not be used: {error}")
            found = None
        if found:
            row |= {
                "peak_inside": float(found.peak_inside),
                "heat_inside": found.heat_inside,
                "lesion_share": found.lesion_share,
            }
    return row


def _coverage(table: pd.DataFrame, rows: Sample, facts: Facts, replicates: int) -> dict[str, Figure] | None:
    """Shares of cases accepted and referred, and how often the answer is right with and without the referred."""
    if "action" not in table.columns:
        return None
    action = table["action"].to_numpy(dtype=str)
    called = answers(rows.p, facts, rows.limits)
    k = facts.positive_index
    right = (called == rows.y).all(axis=1) if facts.kind == "multiclass" else called[:, k] == rows.y[:, k]
    accepted, whole = action == "accept", np.ones(len(action), dtype=bool)

    def figure(hit: np.ndarray, among: np.ndarray, nothing: str = "no case") -> Figure:
        return share(hit, among, rows.patients, replicates, facts.seed, nothing)

    return {
        "accepted": figure(accepted, whole),
        "referred": figure(action == "refer", whole),
        "accuracy_of_all": figure(right, whole),
        "accuracy_of_accepted": figure(right, accepted, "no case was accepted"),
        "sensitivity_of_accepted": figure(called[:, k], accepted & rows.y[:, k], "no positive case was accepted"),
    }


def _domain(table: pd.DataFrame, rows: Sample, facts: Facts, replicates: int) -> dict[str, Figure] | None:
    """Share of cases further from the training data than the policy's limit, and than half of the validation cases."""
    if "domain_score" not in table.columns:
        return None
    score = table["domain_score"].to_numpy(dtype=float)
    known = np.isfinite(score)

    def figure(limit: float) -> Figure:
        return share(score > limit, known, rows.patients, replicates, facts.seed, "no case has a domain score")

    return {"beyond_limit": figure(facts.domain_limit), "beyond_median": figure(0.5)}


def _headline(facts: Facts, patient: Level, optimistic: Sequence[str]) -> str:
    if optimistic:
        return f"Optimistic: {'; '.join(optimistic)}."
    found = patient.classes[facts.positive]
    parts = [
        _said("ROC-AUC", found.figures["roc_auc"]),
        _said("sensitivity", found.figures["sensitivity"]),
        _said("specificity", found.figures["specificity"]),
    ]
    return f"{facts.positive}: {', '.join(parts)}; {patient.patients} patients, {found.tp + found.fn} of them positive."


def _said(name: str, figure: Figure) -> str:
    if not np.isfinite(figure.value):
        return f"{name} not defined ({figure.reason})"
    if figure.interval is None:
        return f"{name} {figure.value:.3f} (no interval: {figure.reason})"
    return f"{name} {figure.value:.3f} (95% interval {figure.interval[0]:.3f} to {figure.interval[1]:.3f})"
