"""A ground of made answers, and tables of answers to disturbed scans whose losses are known."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from insula.audit.corruptions import chosen
from insula.audit.ground import Ground
from insula.core.recipe import Recipe, parse
from insula.core.types import Case, Cohort
from insula.evaluate.facts import of_recipe
from insula.evaluate.run import evaluate_table
from insula.evaluate.table import frame

Floats = NDArray[np.float64]


class Bare:
    """What judging asks of a bundle: its recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.id = recipe, "made"


def recipe(kind: str, robustness: dict[str, Any]) -> Recipe:
    classes = {"multilabel": ["any", "a", "b"], "ordinal": ["none", "mild", "severe"]}.get(kind, ["normal", "stroke"])
    primary = {"multilabel": "any", "ordinal": "severe"}.get(kind, "stroke")
    return parse(
        {
            "name": "made",
            "question": "Is it there?",
            "inputs": {"ct": {"modality": "CT", "prep": [{"windows": [[40, 80]]}, {"resize": 16}]}},
            "targets": {"answer": {"kind": kind, "classes": classes, "primary": primary}},
            "model": {"encoder": "simple_cnn"},
            "audit": {"robustness": robustness},
        },
        "made",
    )


def ground(
    positive: NDArray[np.bool_], p: Floats, kind: str = "multiclass", replicates: int = 400, **robustness: Any
) -> Ground:
    """Cases whose positive class has the probabilities p (n,), one a patient; the rest is shared by the other classes.

    Of labels that stand together the others have half of it.
    """
    made = recipe(kind, robustness)
    facts = of_recipe(made, dict.fromkeys(made.target.classes, 0.5))
    names = [f"c{i:03}" for i in range(len(p))]
    k, others = facts.positive_index, len(facts.classes) - 1
    y = np.zeros((len(p), others + 1), bool)
    y[:, k] = positive
    rest = [i for i in range(others + 1) if i != k]
    if kind == "multilabel":
        y[:, rest[0]] = positive
    else:
        y[:, rest[0]] = ~positive
    table = frame(names, names, probabilities(p, facts.classes, k, kind), y, facts.classes)
    cases = tuple(
        Case(n, n, {}, {"answer": tuple(np.array(facts.classes)[row])}) for n, row in zip(names, y, strict=True)
    )
    report = evaluate_table(table, facts, 50)
    return Ground(cast(Any, Bare(made)), cast(Any, None), Cohort(cases, "."), cases, report, replicates=replicates)


def probabilities(p: Floats, classes: tuple[str, ...], k: int, kind: str) -> Floats:
    others = len(classes) - 1
    whole = np.repeat((p * 0.5 if kind == "multilabel" else (1.0 - p) / others)[:, None], others + 1, axis=1)
    whole[:, k] = p
    return whole


def disturbed(made: Ground, answers: dict[tuple[str, int], Floats], every: Floats) -> pd.DataFrame:
    """The table that measuring gives: for each corruption of HU and grade `every`, or that of its name and grade."""
    facts = made.facts
    columns: dict[str, Any] = {"case": [c.key for c in made.cases], "patient": [c.patient for c in made.cases]}
    for one in chosen(made.limits.robustness.corruptions):
        if "CT" not in one.modalities or "HU" not in one.units:
            continue
        for grade in sorted({*made.limits.robustness.grades, one.everyday}):
            p = answers.get((one.name, grade), every)
            whole = probabilities(p, facts.classes, facts.positive_index, facts.kind)
            name = f"robustness/{one.name}/{grade}"
            columns |= {f"{name}/{label}": whole[:, i] for i, label in enumerate(facts.classes)}
            columns[f"{name}/~refused"] = np.isnan(p).astype(float)
    return pd.DataFrame(columns)
