"""Several bundles of one recipe that differ in their seed alone: mean and range, no best-of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from insula.core.errors import EvaluationError
from insula.core.recipe import Recipe
from insula.evaluate.evidence import Seeds, Spread
from insula.evaluate.headline import rows
from insula.evaluate.outcome import EvaluationReport


def check(recipes: Sequence[Recipe]) -> None:
    """Raise EvaluationError unless the recipes are equal but for different seeds."""
    first = recipes[0].model_copy(update={"seed": 0})
    for other in recipes[1:]:
        if other.model_copy(update={"seed": 0}) != first:
            raise EvaluationError(
                f"The bundles follow different recipes ('{recipes[0].name}' and '{other.name}', or other settings of "
                "one); several bundles are one recipe with several seeds. To hold two models against each other use "
                "insula compare."
            )
    seeds = [recipe.seed for recipe in recipes]
    if len(set(seeds)) != len(seeds):
        raise EvaluationError(f"Two bundles have the same seed ({seeds}); train each with a seed of its own.")


def over(reports: Sequence[EvaluationReport]) -> EvaluationReport:
    """The first report, with the spread over all of them beside it and their mean and range in the headline.

    All reports are on the same cases. A reason that makes one optimistic makes the whole so.
    """
    if len({tuple(report.table["case"]) for report in reports}) != 1:
        raise EvaluationError(
            "The bundles could not all predict the same cases; see the failures in each report, and evaluate them on "
            "cases that all of them take."
        )
    first = reports[0]
    names = first.positive.figures
    figures = {name: _spread([report.positive.figures[name].value for report in reports]) for name in names}
    seeds = Seeds(
        bundles=tuple(str(report.source.get("bundle", "")) for report in reports),
        seeds=tuple(report.facts.seed for report in reports),
        figures=figures,
    )
    optimistic = tuple(dict.fromkeys(reason for report in reports for reason in report.optimistic))
    told = f"The figures are those of the first of {len(reports)} bundles as given; the headline is over all of them."
    return replace(
        first,
        seeds=seeds,
        optimistic=optimistic,
        headline=f"Optimistic: {'; '.join(optimistic)}." if optimistic else _headline(first, seeds),
        notes=(*first.notes, told),
    )


def _spread(values: Sequence[float]) -> Spread:
    known = np.asarray(values, dtype=np.float64)
    if not np.isfinite(known).all():
        nothing = float("nan")
        return Spread(tuple(known.tolist()), nothing, nothing, nothing, nothing)
    sd = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return Spread(tuple(known.tolist()), float(known.mean()), float(known.min()), float(known.max()), sd)


def _headline(report: EvaluationReport, seeds: Seeds) -> str:
    words = {"roc_auc": "ROC-AUC", "sensitivity": "sensitivity", "specificity": "specificity"}
    parts = []
    for name, word in words.items():
        found = seeds.figures[name]
        if np.isfinite(found.mean):
            parts.append(f"{word} {found.mean:.3f} (range {found.low:.3f} to {found.high:.3f})")
        else:
            parts.append(f"{word} not defined for every seed")
    level, positive = report.patient, report.positive
    return (
        f"{report.facts.positive}, mean of {len(seeds.bundles)} seeds: {', '.join(parts)}; {rows(level)}, "
        f"{positive.tp + positive.fn} of them positive."
    )
