"""One bundle on one cohort: the same judgement for a test set, an outside site and pooled folds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from insula.bundle.types import Bundle
from insula.core import labels
from insula.core.errors import EvaluationError, InsulaError, ScanError, UnsuitableScanError
from insula.core.recipe import Recipe
from insula.core.recipe_policy import Source
from insula.core.types import Case, Cohort, Prediction
from insula.evaluate import around, caveats, further, held_back, known, localisation, policy
from insula.evaluate.around import Asked
from insula.evaluate.facts import Bools, Facts, answers, of_recipe
from insula.evaluate.figures import level
from insula.evaluate.headline import headline
from insula.evaluate.outcome import EvaluationReport, Failure
from insula.evaluate.table import Sample, by_patient, frame, sample
from insula.infer.decide import decide, refusal
from insula.infer.domain_scale import ALL
from insula.infer.predict import Predictor
from insula.infer.uncertainty import SOURCES
from insula.metrics.prevalence import at_prevalence
from insula.metrics.probabilities import exclusive

if TYPE_CHECKING:
    import pandas as pd

REPLICATES = 2000
_NAMED = 3
Progress = Callable[[Sequence[Case]], Iterable[Case]]


class Predicts(Protocol):
    """Whatever predicts a case as `Predictor` does."""

    def case(self, case: Case, root: Path, passes: int = 0, ask: Collection[Source] = ()) -> Prediction:
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
    asked: Asked | None = None,
    ask: Collection[Source] = (),
) -> EvaluationReport:
    """Predict every labelled case of a split ("all" for the whole cohort) and judge the predictions.

    progress wraps the cases, as `tqdm` does. passes: dropout passes per case, by default those of the bundle's policy.
    asked: what is wanted beside the figures; the plan is written before the first case is predicted. ask: sources of
    uncertainty for the table, beside the one that the policy refers by and an ensemble's members. A case that cannot be
    predicted becomes an entry in `failures`. Raises EvaluationError when there is no labelled case or not one could be
    predicted.
    """
    recipe = bundle.recipe
    asked, own = asked or Asked(), bundle.decision.thresholds
    bundle = replace(bundle, decision=replace(bundle.decision, thresholds={**own, **asked.thresholds}))
    facts = of_recipe(recipe, bundle.decision.thresholds, bundle.decision.power)
    cohort, cases, unlabelled = labelled(cohort, split, recipe, facts)
    aims = (recipe.policy.operating_point,)
    asked = replace(asked, without={*asked.without, *_label_columns(recipe)})
    ground = around.lay(facts, cohort, cases, split, known.of_bundle(bundle), own, aims, bundle.id, replicates, asked)
    predictor = predictor or Predictor(bundle)
    passes = recipe.policy.passes if passes is None else passes
    sources = _sources(recipe, passes, ask)
    rows: list[dict[str, Any]] = []
    failures: list[Failure] = []
    notes: list[str] = []
    for case in progress(cases) if progress else cases:
        try:
            found = predictor.case(case, Path(cohort.root), passes=passes, ask=sources)
            rows.append(_row(case, found, bundle, facts, cohort, notes))
        except (InsulaError, OSError, ValueError, MemoryError) as error:
            refused = isinstance(error, ScanError | UnsuitableScanError)
            kind = refusal(error) if isinstance(error, ScanError | UnsuitableScanError) else ""
            failures.append(Failure(case.key, str(error) or type(error).__name__, refused, case.patient, kind))
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
    notes += caveats.of_decision(bundle.decision, facts)
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
    report = evaluate_table(table, facts, replicates, (), notes, failures, source)
    report = replace(report, further=further.judge(table, recipe, replicates))
    return around.finish(report, ground)


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

    source: where its `patient_ids` is False nobody knows whose the cases are, and figures are said to be over cases.
    Raises EvaluationError when the table and the facts do not fit together.
    """
    rows = sample(table, facts)
    pooled, mixed = by_patient(rows, facts)
    known = bool((source or {}).get("patient_ids", True))
    patient = level("patient" if known else "case", pooled, facts, replicates)
    several = len(pooled.keys) != len(rows.keys)
    case = level("case", rows, facts, replicates) if several else None
    extra = [*(_mixed(rows, facts) if mixed else []), *caveats.of_sets(table, facts), *caveats.of_units(rows.patients)]
    if not known:
        extra.append(
            "Nothing tells which cases are of one patient (no column 'patient', no patient ids), so every figure is "
            "over cases, each as if of a patient of its own; where patients have several, the intervals are too narrow."
        )
    figures = patient.classes[facts.positive].figures
    refused = [(one.patient or f"case {one.case}", one.kind or "other") for one in failures if one.rejected]
    prevalence = tuple(
        row for p in facts.prevalences if (row := at_prevalence(figures["sensitivity"], figures["specificity"], p))
    )
    return EvaluationReport(
        facts=facts,
        source=dict(source or {}),
        headline=headline(facts, patient, optimistic),
        optimistic=tuple(optimistic),
        notes=(*dict.fromkeys(notes), *extra),
        patient=patient,
        case=case,
        prevalence=prevalence,
        coverage=policy.coverage(table, rows, facts, [patient for patient, _ in refused]),
        domain=policy.domain(table, rows, facts),
        localisation=localisation.summary(table, facts),
        failures=tuple(failures),
        table=table,
        held_back=held_back.judge(table, rows, facts, refused),
    )


def _mixed(rows: Sample, facts: Facts) -> list[str]:
    """A note that names patients whose cases do not have one label, and says how such a patient is counted."""
    different = [
        str(key) for key in np.unique(rows.patients) if len(np.unique(rows.y[rows.patients == key], axis=0)) > 1
    ]
    shown = ", ".join(different[:_NAMED]) + (f" and {len(different) - _NAMED} more" if len(different) > _NAMED else "")
    how = "each label that any case has"
    if exclusive(facts.kind):
        how = f"{facts.positive} where any case is {facts.positive}"
        how += ", otherwise the label of most cases" if len(facts.classes) > 2 else ""
    if len(different) == 1:
        return [f"1 patient has cases with different labels ({shown}) and counts as {how}."]
    return [f"{len(different)} patients have cases with different labels ({shown}); each counts as {how}."]


def labelled(cohort: Cohort, split: str, recipe: Recipe, facts: Facts) -> tuple[Cohort, list[Case], int]:
    """The cohort with its labels, the labelled cases of a split, and how many of it have no label.

    Raises EvaluationError where there is none, or a label is no class of the recipe.
    """
    cohort = replace(cohort, cases=tuple(_with_label(case, recipe) for case in cohort.cases))
    return cohort, *_cases(cohort, split, facts)


def _cases(cohort: Cohort, split: str, facts: Facts) -> tuple[list[Case], int]:
    if split not in ("train", "val", "test", "all"):
        raise EvaluationError(f"There is no split '{split}'; write train, val, test or all.")
    chosen = [case for case in cohort.cases if split in ("all", case.split)]
    known = [case for case in chosen if facts.target in case.labels]
    if not chosen:
        raise EvaluationError(
            f"The cohort has no case in the split '{split}'; split it first (insula split), or pass --split all to "
            "take every case of an outside cohort."
        )
    if not known:
        raise EvaluationError(
            f"Not one of {len(chosen)} cases is labelled for '{facts.target}'; index with its labels."
        )
    wrong = [case for case in known if not set(case.labels[facts.target]) <= set(facts.classes)]
    if wrong:
        unknown = sorted(set(wrong[0].labels[facts.target]) - set(facts.classes))
        named = ", ".join(f"'{case.key}'" for case in wrong[:3]) + (" and more" if len(wrong) > 3 else "")
        raise EvaluationError(
            f"The cohort labels {len(wrong)} case{'s' * (len(wrong) > 1)} with no class of the bundle: {named}, the "
            f"first '{unknown[0]}'; the classes are {', '.join(facts.classes)}. Correct the labels and index again."
        )
    return known, len(chosen) - len(known)


def _sources(recipe: Recipe, passes: int, ask: Collection[Source]) -> tuple[Source, ...]:
    """What is asked for beside dropout, whose passes are their own question: none means that it is not wanted."""
    wanted: set[Source] = {*ask, recipe.policy.refer.by}
    if recipe.model.members > 1:
        wanted.add("members")
    return tuple(source for source in SOURCES if source in wanted and (passes or source != "dropout"))


def _label_columns(recipe: Recipe) -> set[str]:
    """Attributes that hold answers, which a trivial model must not see."""
    return {name for key, t in recipe.targets.items() for name in (key, t.column, t.time, t.event) if name}


def _with_label(case: Case, recipe: Recipe) -> Case:
    """The case with the first target's label where an attribute holds it."""
    name = recipe.target_name
    if name in case.labels or (found := labels.classes(case, name, recipe.target)) is None:
        return case
    return replace(case, labels={**case.labels, name: found})


def _row(
    case: Case, prediction: Prediction, bundle: Bundle, facts: Facts, cohort: Cohort, notes: list[str]
) -> dict[str, Any]:
    p = np.asarray(prediction.probabilities, dtype=np.float64)
    y = np.array([name in case.labels[facts.target] for name in facts.classes])
    row: dict[str, Any] = {"case": case.key, "patient": case.patient, "p": p, "y": y}
    decision = decide(prediction, bundle)
    row["action"], row["reasons"] = decision.action, "; ".join(decision.reasons)
    row[held_back.COLUMN] = ";".join(decision.kinds)
    row["domain_score"] = float(prediction.domain_score)
    for k, name in enumerate(facts.classes):
        row[f"spread_{name}"] = float("nan") if prediction.spread is None else float(prediction.spread[k])
    for source, one in prediction.uncertainty.items():
        row |= {f"entropy_{source}": one.entropy, f"mutual_information_{source}": one.mutual_information}
        if source != "dropout":
            row |= {f"spread_{source}_{name}": float(one.spread[k]) for k, name in enumerate(facts.classes)}
    row["distance"] = prediction.distances.get(ALL, float("nan"))
    row |= {f"set_{name}": name in prediction.prediction_set for name in facts.classes}
    row |= further.columns(case, prediction, bundle.recipe)
    row |= _heat(case, prediction, y, answers(p[None], facts)[0], bundle, facts, Path(cohort.root), notes)
    return row


def _heat(
    case: Case,
    prediction: Prediction,
    y: Bools,
    called: Bools,
    bundle: Bundle,
    facts: Facts,
    root: Path,
    notes: list[str],
) -> dict[str, Any]:
    """Where the heat lies in a case with a lesion mask; a mask that cannot be used is said in the notes."""
    role, found, region = bundle.recipe.role, dict[str, localisation.Spot](), ""
    wanted = localisation.measurable(y, called, facts) if role in prediction.heatmaps else ()
    if wanted and case.scans[role].mask:
        try:
            ground = localisation.ground(case, role, root, bundle.recipe.input)
            if ground.lesion is not None:
                around = ground.region
                region = around.name if around else ""
                heat, mask = prediction.heatmaps[role], around.mask if around else None
                index = facts.classes.index
                found = {name: localisation.spot(heat, index(name), ground.lesion, mask) for name in wanted}
        except InsulaError as error:
            notes.append(f"A lesion mask could not be used: {error}")
            found = {}
    return localisation.columns(found, region, facts)
