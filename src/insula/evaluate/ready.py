"""Whether two models can be held against each other on a cohort, asked before anything is predicted or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from insula.bundle.types import Bundle
from insula.core.errors import EvaluationError, UsageError
from insula.core.types import Case, Cohort
from insula.evaluate import foreign, run
from insula.evaluate.elsewhere import Predictions
from insula.evaluate.facts import Facts, of_recipe

Model = Bundle | Predictions


def check(models: Sequence[Model], names: Sequence[str], cohort: Cohort | None, split: str) -> None:
    """Raise EvaluationError or UsageError where `compare` would refuse the two after it has judged them.

    They are one model, or answer different questions, have no case in common, or a case has two labels or patients.
    """
    if models[0].id == models[1].id:
        raise UsageError("A and B are the same model; give two different ones.")
    if cohort is None and any(isinstance(model, Bundle) for model in models):
        raise UsageError("A bundle is judged on a cohort; give --cohort TABLE.")
    (a, one), (b, other) = (_judged(model, cohort, split) for model in models)
    if a.positive != b.positive:
        raise EvaluationError(
            f"{names[0]} is about '{a.positive}' and {names[1]} about '{b.positive}'; only models of one question "
            "can be compared."
        )
    shared = [key for key in one if key in other]
    if not shared:
        raise EvaluationError(f"{names[0]} and {names[1]} have no case in common; compare them on the same cases.")
    differ = [key for key in shared if _has(one[key], a) != _has(other[key], b)]
    if differ:
        raise EvaluationError(
            f"{len(differ)} of {len(shared)} cases have two labels, the first '{differ[0]}'; both tables must hold one."
        )
    moved = next((key for key in shared if one[key].patient != other[key].patient), None)
    if moved is not None:
        raise EvaluationError(f"Case '{moved}' is of another patient in each of the two; correct one of them.")


def _judged(model: Model, cohort: Cohort | None, split: str) -> tuple[Facts, Mapping[str, Case]]:
    """What a model is about, and the cases that it will be judged on by their keys."""
    if not isinstance(model, Bundle):
        cases = foreign.ground(model, cohort)[1]
        return model.facts, {case.key: case for case in cases}
    assert cohort is not None  # noqa: S101 (asked above)
    facts = of_recipe(model.recipe, model.decision.thresholds, model.decision.power)
    return facts, {case.key: case for case in run.labelled(cohort, split, model.recipe, facts)[1]}


def _has(case: Case, facts: Facts) -> bool:
    return facts.positive in case.labels[facts.target]
