"""Patients in memory with two kinds of scans, several series of one kind, gaps, and targets of three kinds.

Of each four patients the last lacks t2; each third has a second t1 series; each fifth an unknown age; each sixth was
not asked for its volume and each seventh not followed up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, Scan, Split
from insula.prep.cache import Prepared

SIDE = 16
CLASSES = ("healthy", "benign", "malignant")


def recipe(*more: str) -> Recipe:
    """The recipe of two inputs, clinical columns and three targets, with overrides."""
    return recipes.load(Path(__file__).with_suffix(".yaml"), more)


def cohort(patients: int = 12) -> Cohort:
    """Two thirds of the patients train; no file of them is on disk."""
    draw = np.random.default_rng(3)
    cases = []
    for i in range(patients):
        roles = ["t1", *(["t1.2"] if i % 3 == 0 else []), *(["t2"] if i % 4 != 3 else [])]
        told = {"age": "" if i % 5 == 4 else f"{int(draw.integers(20, 80))}", "sex": "FM"[i % 2]}
        if i % 6 != 5:
            told["ml"] = f"{draw.random() * 40:.1f}"
        if i % 7 != 6:
            told |= {"days": f"{int(draw.integers(10, 900))}", "dead": f"{i % 2}"}
        split: Split = "train" if i < patients * 2 // 3 else "val"
        scans = {role: Scan((f"{i}-{role}.npy",), "npy") for role in roles}
        cases.append(Case(f"c{i:02}", f"p{i:02}", scans, {"tumour": (CLASSES[i % 3],)}, told, split))
    return Cohort(tuple(cases), "nowhere", "patient")


def prepared(table: Cohort) -> dict[str, Prepared]:
    """Open caches of both roles: noise with a square whose brightness tells the class; 2 to 4 slices a series."""
    draw = np.random.default_rng(4)
    found = {}
    for role in ("t1", "t2"):
        arrays, places, at = [], {}, 0
        for case in table.cases:
            for k in range(len(case.scans_of(role))):
                count = 2 + (at + k) % 3
                array = draw.random((count, 1, SIDE, SIDE)).astype(np.float32)
                array[:, :, 4:12, 4:12] += 0.4 * CLASSES.index(case.labels["tumour"][0])
                places[case.key if k == 0 else f"{case.key}#{k + 1}"] = (at, count)
                arrays.append(array)
                at += count
        found[role] = Prepared(np.concatenate(arrays), places, {})
    return found
