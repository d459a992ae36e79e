"""Grounds of audits with a model that is a plain function of the scan, and heads that it looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from insula.audit.ground import Ground
from insula.audit.part import Measured
from insula.bundle.types import Baseline, Bundle
from insula.core.errors import ScanError, UnsuitableScanError
from insula.core.recipe import Recipe, parse
from insula.core.types import Case, Cohort, Scan, Volume
from insula.evaluate.facts import of_recipe
from insula.evaluate.run import evaluate_table
from insula.evaluate.table import frame
from insula.infer.predict import Predictor, Scans

Bools = NDArray[np.bool_]
Look = Callable[[Volume], float]


def recipe(modality: str = "CT", kind: str = "binary", **audit: Any) -> Recipe:
    classes = {"multiclass": ["normal", "tumour", "stroke"], "multilabel": ["stroke", "subdural"]}
    return parse(
        {
            "name": "made",
            "question": "Is it a stroke?",
            "inputs": {"ct": {"modality": modality, "prep": [{"resize": 16}]}},
            "targets": {
                "answer": {"kind": kind, "classes": classes.get(kind, ["normal", "stroke"]), "primary": "stroke"}
            },
            "model": {"encoder": "simple_cnn"},
            "audit": audit,
        },
        "made",
    )


class Looks:
    """A predictor that says of the first scan of `ct` what a function says; `refuse`, `unreadable`: of which cases."""

    def __init__(self, scans: Mapping[str, Scans], look: Look) -> None:
        self.held, self.look = scans, look
        self.refuses: Callable[[Volume], bool] = lambda volume: False
        self.unreadable: set[str] = set()
        self.reads: list[str] = []

    def read(self, case: Case, root: Path) -> Scans:
        self.reads.append(case.key)
        if case.key in self.unreadable:
            raise ScanError(f"{case.key} is cut short")
        return {role: several for role, several in self.held[case.key].items() if role in case.scans}

    def scans(self, volumes: Scans, key: str, attributes: object = None) -> SimpleNamespace:
        volume = volumes["ct"][0]
        if self.refuses(volume):
            raise UnsuitableScanError("no such scan")
        p = self.look(volume)
        return SimpleNamespace(probabilities=np.array([1 - p, p]))


def ground(
    positive: Sequence[bool],
    volumes: Sequence[Volume | tuple[Volume, ...]],
    look: Look,
    modality: str = "CT",
    patients: Sequence[str] | None = None,
    attributes: Sequence[Mapping[str, str]] | None = None,
    given: Recipe | None = None,
) -> Ground:
    """Cases c00, c01 and so on, each of a patient of its own, with one scan or several of the role `ct`."""
    names = [f"c{i:02}" for i in range(len(positive))]
    owners = list(patients or names)
    held = {n: {"ct": v if isinstance(v, tuple) else (v,)} for n, v in zip(names, volumes, strict=True)}
    made = given or recipe(modality)
    facts = of_recipe(made, {"stroke": 0.5})
    p = np.array([look(held[n]["ct"][0]) for n in names])
    y = np.array(positive, bool)
    table = frame(names, owners, np.stack([1 - p, p], 1), np.stack([~y, y], 1), facts.classes)
    cases = []
    for i, name in enumerate(names):
        roles = {
            "ct" if k == 0 else f"ct.{k + 1}": Scan((f"{name}.{k}",), "nifti") for k in range(len(held[name]["ct"]))
        }
        label = {"answer": ("stroke" if y[i] else "normal",)}
        cases.append(Case(name, owners[i], roles, label, dict(attributes[i]) if attributes else {}))
    return Ground(
        cast(Bundle, SimpleNamespace(recipe=made, id="made", baseline=baseline(), metrics={})),
        cast(Predictor, Looks(held, look)),
        Cohort(tuple(cases), "/made"),
        tuple(cases),
        evaluate_table(table, facts, 50),
        replicates=200,
    )


def baseline(**counts: int) -> Baseline:
    nothing = np.zeros(1)
    return Baseline((), (), "00", "patient", True, counts, nothing, np.eye(1), nothing, 0.0, 1.0)


def table(on: Ground, measure: Callable[[Ground, Case, Scans], Measured]) -> pd.DataFrame:
    """What a check measures of every case, as the audit holds it before the judge."""
    found = [measure(on, case, on.predictor.read(case, on.root)) for case in on.cases]
    columns = dict.fromkeys(name for one in found for name in one)
    plain = {"case": [c.key for c in on.cases], "patient": [c.patient for c in on.cases]}
    return pd.DataFrame(plain | {name: [one.get(name, np.nan) for one in found] for name in columns})


def head(
    seed: int = 0, size: int = 64, slices: int = 4, lesion: bool = False, air: float = -1000.0, bone: float = 1000.0
) -> Volume:
    """A CT of 3 mm pixels: brain of 35 HU in a ring of bone, air around; a lesion of 75 HU in the middle."""
    rng = np.random.default_rng(seed)
    at = (np.arange(size) - (size - 1) / 2) * 3.0
    r = np.hypot(at[:, None], at[None, :])
    plane = np.select([r < 60, r < 68], [35.0, bone], air)
    if lesion:
        plane = np.where(r < 15, 75.0, plane)
    array = np.stack([plane + rng.normal(0, 3, plane.shape) for _ in range(slices)])
    return Volume(array[None].astype(np.float32), np.diag([3.0, 3.0, 5.0, 1.0]), "HU", "CT", "made")


def middle(volume: Volume) -> float:
    """What a model says that looks at the lesion alone."""
    size = volume.array.shape[-1]
    part = np.s_[0, :, size // 2 - 3 : size // 2 + 3, size // 2 - 3 : size // 2 + 3]
    return float(np.clip((volume.array[part].mean() - 35) / 50, 0.02, 0.98))


def corner(volume: Volume) -> float:
    """What a model says that looks at the background alone: 1 where it is brighter than −900 HU."""
    return float(volume.array[0, :, :3, :3].mean() > -900)
