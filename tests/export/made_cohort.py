"""A made cohort of two roles whose cases lack a role, hold two series of one, or lack some labels, and a run on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.made_fused import SHAPES, recipe, stirred

from insula.core import recipe as recipes
from insula.core.provenance import write_text
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, Scan, Split
from insula.model.network import Network
from insula.prep.cache import build_all
from insula.train.run import Run, keep

PATIENTS = 18


def fused() -> Recipe:
    return recipe(pool="attention", bags="attention", dropout=0.3)


def cohort(root: Path) -> Cohort:
    """Every third patient has no MRI, every fourth no CT (but one of the two), every fifth two MRI series."""
    draw = np.random.default_rng(4)
    cases = []
    for i in range(PATIENTS):
        scans = {}
        if i % 4 != 3 or i % 3 == 2:
            scans["ct"] = _scan(root / f"{i}-ct.npz", draw.normal(60, 60, (2 + i % 3, 20, 20)), "HU")
        if i % 3 != 2:
            scans["mri"] = _scan(root / f"{i}-mri.npz", draw.gamma(2.0, 80.0, (3, 20, 20)), "a.u.")
        if i % 5 == 0 and "mri" in scans:
            scans["mri.2"] = _scan(root / f"{i}-mri2.npz", draw.gamma(2.0, 80.0, (2, 20, 20)), "a.u.")
        attributes = {
            "age": f"{50 + i:03}Y" if i % 4 else "",
            "sex": "FM"[i % 2],
            "stage": ("I", "II", "III", "IV")[i % 4],
            "days": f"{40 + 30 * i}",
            "dead": str(int(i % 3 > 0)),
            "ml": f"{10 + 3 * i}" if i % 2 else "",
        }
        label = ("healthy", "benign", "malignant")[i % 3]
        split: Split = "train" if i < PATIENTS * 2 // 3 else "val"
        cases.append(Case(f"c{i:02}", f"p{i:02}", scans, {"tumour": (label,)}, attributes, split))
    return Cohort(tuple(cases), str(root), "patient")


def run(root: Path, table: Cohort) -> Run:
    """As a training run leaves it, with stirred weights in the place of trained ones."""
    made = fused()
    folder = root / "run"
    folder.mkdir()
    prepared = build_all(table.cases, Path(table.root), made, root / "cache")
    network = stirred(Network(made, SHAPES))
    network.heads.set_scale("volume", 40.0, 15.0)
    facts = {"epochs": 1, "best_val_loss": 1.0, "start": "made.", "train_inputs": 12, "val_inputs": 6}
    write_text(folder / "recipe.yaml", recipes.dump(made))
    return keep(folder, made, network, prepared, facts)


def _scan(path: Path, array: np.ndarray, units: str) -> Scan:
    np.savez(path, array=array.astype(np.float32), units=np.array(units))
    return Scan((path.name,), "npz")
