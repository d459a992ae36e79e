"""Made predictions of many patients, some with several cases, with ties among the probabilities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from insula.evaluate.facts import Facts
from insula.evaluate.table import frame

CLASSES = ("healthy", "benign", "malignant")
LABELS = ("any", "subdural", "epidural")
THRESHOLDS = {"malignant": 0.35}
LABEL_THRESHOLDS = {"any": 0.4, "subdural": 0.6, "epidural": 0.5}


def facts(kind: str = "multiclass", **changes: Any) -> Facts:
    if kind == "multiclass":
        made = Facts("made", "Is it a tumour?", "tumour", "multiclass", CLASSES, "malignant", THRESHOLDS, seed=5)
    else:
        made = Facts("made", "Is it blood?", "blood", "multilabel", LABELS, "any", LABEL_THRESHOLDS, seed=5)
    return replace(made, **changes)


def binary(y: list[int], p: list[float], patients: list[str] | None = None, **more: Any) -> pd.DataFrame:
    """A table for the classes of `binary_facts`: y and p are about the second of them."""
    truth, chance = np.array(y, dtype=bool), np.array(p)
    keys = [f"c{i:03}" for i in range(len(y))]
    return frame(
        keys,
        patients or [key.replace("c", "p") for key in keys],
        np.stack([1 - chance, chance], axis=1),
        np.stack([~truth, truth], axis=1),
        ("normal", "stroke"),
        more,
    )


def binary_facts(threshold: float = 0.5, **changes: Any) -> Facts:
    made = Facts("made", "Is it a stroke?", "answer", "multiclass", ("normal", "stroke"), "stroke", {}, seed=5)
    return replace(made, thresholds={"stroke": threshold}, **changes)


def table(kind: str = "multiclass", patients: int = 30, seed: int = 2) -> pd.DataFrame:
    """One to three cases a patient, one label a patient; probabilities in steps of a tenth."""
    rng = np.random.default_rng(seed)
    owners = np.repeat([f"p{i:02}" for i in range(patients)], rng.integers(1, 4, patients))
    order = rng.permutation(len(owners))
    if kind == "multiclass":
        of_patient = rng.integers(0, 3, patients)
        y = np.eye(3, dtype=bool)[of_patient[[int(o[1:]) for o in owners]]]
        p = rng.multinomial(10, np.full(3, 1 / 3), len(owners)) * 0.05 + 0.5 * np.where(
            rng.random((len(owners), 1)) < 0.6, y, rng.permutation(y)
        )
    else:
        labels = rng.random((patients, 3)) < (0.5, 0.3, 0.4)
        y = labels[[int(o[1:]) for o in owners]]
        p = np.round(0.35 * y + 0.65 * rng.random(y.shape), 1)
    names = CLASSES if kind == "multiclass" else LABELS
    return frame([f"c{i:02}" for i in order], list(owners[order]), p[order], y[order], names)
