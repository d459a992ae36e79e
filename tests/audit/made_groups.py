"""Grounds of audits with made answers: no bundle is run, no scan is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from insula.audit.ground import Ground
from insula.bundle.types import Bundle
from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, Scan
from insula.evaluate.facts import of_recipe
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.table import frame
from insula.infer.predict import Predictor

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
CLASSES: Mapping[str, tuple[str, ...]] = {
    "binary": ("normal", "stroke"),
    "multiclass": ("normal", "tumour", "stroke"),
    "multilabel": ("stroke", "subdural"),
}


def recipe(kind: str = "binary", **subgroups: Any) -> Recipe:
    return recipes.parse(
        {
            "name": "made",
            "question": "Is it a stroke?",
            "seed": 7,
            "inputs": {"ct": {"modality": "CT", "unit": "series", "prep": [{"windows": [[40, 80]]}, {"resize": 16}]}},
            "targets": {"answer": {"kind": kind, "classes": list(CLASSES[kind]), "primary": "stroke"}},
            "model": {"encoder": "simple_cnn"},
            "policy": {"operating_point": {"sensitivity": 0.8}},
            "audit": {"subgroups": subgroups},
        },
        "made",
    )


def ground(
    y: Bools,
    p: Floats,
    attributes: Sequence[Mapping[str, str]],
    patients: Sequence[str] | None = None,
    kind: str = "binary",
    scans: Sequence[Mapping[str, str]] | None = None,
    **subgroups: Any,
) -> Ground:
    """y, p: (n,) of the class "stroke"; the other classes share what is left."""
    n, classes, made = len(y), CLASSES[kind], recipe(kind, **subgroups)
    keys = [f"c{i:04}" for i in range(n)]
    owners = list(patients) if patients is not None else [f"p{i:04}" for i in range(n)]
    other = 1 - p if kind != "multilabel" else np.full(n, 0.2)
    rest = len(classes) - 1
    first = np.arange(n) % rest
    labels = [
        y if c == "stroke" else (~y & (first == k - (k > classes.index("stroke")))) for k, c in enumerate(classes)
    ]
    chances = [p if c == "stroke" else other / rest for c in classes]
    table = frame(keys, owners, np.stack(chances, axis=1), np.stack(labels, axis=1), classes)
    told = scans or [{}] * n
    cases = tuple(
        Case(key, owner, {"ct": Scan((f"{key}.dcm",), "dicom", attributes=of)}, {}, dict(known))
        for key, owner, known, of in zip(keys, owners, attributes, told, strict=True)
    )
    report = SimpleNamespace(table=table, facts=of_recipe(made, {"stroke": 0.5}))
    return Ground(
        cast(Bundle, SimpleNamespace(recipe=made)),
        cast(Predictor, None),
        Cohort(cases, "/made"),
        cases,
        cast(EvaluationReport, report),
        replicates=200,
    )


def scores(y: Bools, rng: np.random.Generator, missed: Bools | None = None) -> Floats:
    """Probabilities that are right at a prevalence of a half (ROC-AUC 0.92); missed: positives that look negative."""
    centre = np.where(y, 1.0, -1.0)
    if missed is not None:
        centre = np.where(missed & y, -0.7, centre)
    found: Floats = expit(2 * rng.normal(centre, 1.0))
    return found


def people(n: int, rng: np.random.Generator) -> list[dict[str, str]]:
    """Sex, age, one of four scanners in two of three sites, and three reconstruction kernels."""
    scanner = rng.integers(0, 4, n)
    return [
        {
            "sex": "FM"[rng.integers(0, 2)],
            "age": str(int(rng.integers(20, 90))),
            "scanner": f"S{of}",
            "site": f"site {'ABC'[(of + rng.integers(0, 2)) % 3]}",
            "kernel": ("H30", "H40", "FC21")[rng.integers(0, 3)],
        }
        for of in scanner
    ]


def sample(
    seed: int, n: int = 300, fails: Callable[[Mapping[str, str]], bool] | None = None, **subgroups: Any
) -> Ground:
    rng = np.random.default_rng(seed)
    who, y = people(n, rng), rng.random(n) < 0.5
    missed = None if fails is None else np.array([fails(one) for one in who])
    return ground(y, scores(y, rng, missed), who, **subgroups)


def nothing_measured(on: Ground) -> pd.DataFrame:
    return pd.DataFrame({"case": [case.key for case in on.cases], "patient": [case.patient for case in on.cases]})
