"""A small made cohort of arrays in which a bright square is the class to find."""

from pathlib import Path

import numpy as np

from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, Scan, Split

SETTINGS = (
    "model.encoder=simple_cnn",
    "model.pretrained=false",
    "train.epochs=3",
    "train.batch=4",
    "train.lr=0.003",
    "inputs.mri.prep=[percentile: [0, 100], resize: 32]",
)


def recipe(*more: str) -> Recipe:
    return recipes.load("brain-tumour", (*SETTINGS, *more))


def cohort(root: Path, patients: int = 24) -> Cohort:
    rng = np.random.default_rng(11)
    cases = []
    for i in range(patients):
        array = rng.random((4 + i % 3, 32, 32)).astype(np.float32)
        label = ("healthy", "benign", "malignant")[i % 3]
        if label != "healthy":
            y, x = rng.integers(4, 20, 2)
            size = 6 if label == "benign" else 12
            array[2, y : y + size, x : x + size] += 2.0
        np.save(root / f"{i}.npy", array)
        split: Split = "train" if i < patients * 2 // 3 else "val"
        scan = Scan((f"{i}.npy",), "npy")
        cases.append(Case(f"c{i:02}", f"p{i:02}", {"mri": scan}, {"tumour": (label,)}, split=split))
    return Cohort(tuple(cases), str(root), "patient")
