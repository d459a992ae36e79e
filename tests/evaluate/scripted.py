"""A cohort without files and a predictor that says what it is told, so that a test knows every probability."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from insula.core.errors import UnsuitableScanError
from insula.core.recipe_policy import Source
from insula.core.types import Case, Cohort, Heatmap, Prediction, Scan, Split


class Scripted:
    """Gives case key → probability of stroke; a case without one is refused."""

    def __init__(
        self,
        stroke: Mapping[str, float],
        domain: float = 0.5,
        heat: np.ndarray | Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.stroke = stroke
        self.domain = domain
        self.heat = heat
        self.asked: list[tuple[str, int]] = []

    def case(self, case: Case, root: Path, passes: int = 0, ask: Collection[Source] = ()) -> Prediction:
        self.asked.append((case.key, passes))
        if case.key not in self.stroke:
            raise UnsuitableScanError(f"{case.key} is no head CT")
        p = np.array([1 - self.stroke[case.key], self.stroke[case.key]], np.float32)
        spread = np.full(2, 0.25, np.float32) if passes else None
        maps = {}
        heat = self.heat[case.key] if isinstance(self.heat, Mapping) else self.heat
        if heat is not None:
            array = np.stack([np.zeros_like(heat), heat])
            maps = {"ct": Heatmap(array, tuple(range(len(heat))), np.ones(len(heat), np.float32))}
        return Prediction(
            case.key, "b", "answer", ("normal", "stroke"), p, spread, (), self.domain, np.zeros(6, np.float32), maps
        )


def case(key: str, patient: str, label: str = "stroke", split: Split = "test", mask: str = "") -> Case:
    labels = {"answer": (label,)} if label else {}
    return Case(key, patient, {"ct": Scan((f"{key}.npz",), "npz", mask=mask)}, labels, split=split)


def cohort(*cases: Case, root: str = "/nowhere/site-b") -> Cohort:
    return Cohort(cases, root, "patient")


def pairs(count: int = 12) -> tuple[Cohort, dict[str, float]]:
    """`count` patients with two cases each, every other one a stroke, and a script that errs now and then."""
    cases, script = [], {}
    for i in range(count):
        for j in "ab":
            key = f"c{i:02}{j}"
            cases.append(case(key, f"q{i:02}", ("normal", "stroke")[i % 2]))
            script[key] = 0.35 + 0.3 * (i % 2) + 0.08 * ((7 * i + 3 * (j == "b")) % 9 - 4)
    return cohort(*cases), script
