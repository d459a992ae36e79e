"""How much a model loses when the scan is disturbed as scanners and archives disturb it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from insula.audit.corrupt.corruption import Corruption
from insula.audit.corruptions import chosen
from insula.audit.ground import Ground
from insula.audit.lost import Losses, losses
from insula.audit.part import Check, Measured, Part
from insula.audit.robustness_judged import Tried, judged
from insula.core.types import Case, Volume
from insula.infer.decide import decide
from insula.infer.predict import Scans
from insula.metrics import proportion

if TYPE_CHECKING:
    import pandas as pd

REFUSED = "~refused"  # no class may begin with that sign, so that the column is no class's


@dataclass(frozen=True)
class _Changed:
    """Scans after a corruption; whether it changed any of them, as a blur does and thicker slices may not."""

    scans: Scans
    any: bool


def measure(ground: Ground, case: Case, scans: Scans) -> Measured:
    """The answers to a case under every corruption that suits any of its scans, at every grade that is asked for.

    Columns `robustness/NAME/GRADE/CLASS`, NaN where the scan was refused, and `robustness/NAME/GRADE/~refused`. Nothing
    of a case whose patient is not among those that are looked at.
    """
    found: dict[str, float] = {}
    if case.patient not in looked_at(ground):
        return found
    inputs = ground.bundle.recipe.inputs
    for one in chosen(ground.limits.robustness.corruptions):
        if not any(one.suits(v, inputs[role].modality) for role, several in scans.items() for v in several):
            continue
        for grade in grades(ground, one):
            rng = ground.rng(case.key, one.name, grade)
            changed = _disturbed(scans, one, grade, {role: i.modality for role, i in inputs.items()}, rng)
            found |= _answer(ground, case, changed, f"robustness/{one.name}/{grade}")
    return found


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """Losses of each corruption and grade, held against the recipe's limits at the everyday grade."""
    tried = []
    for one in chosen(ground.limits.robustness.corruptions):
        for grade in grades(ground, one):
            name = f"robustness/{one.name}/{grade}"
            if f"{name}/{REFUSED}" not in table.columns:
                continue
            refused = table[f"{name}/{REFUSED}"].to_numpy(dtype=np.float64)
            measured = np.isfinite(refused)
            if not measured.any():
                continue
            before, after = ground.changed(table, name)
            share = proportion.figure(refused == 1.0, measured, ground.rows.patients, "no scan was measured")
            lost: Losses = losses(ground, before, after)
            tried.append(Tried(one, grade, before, after, lost, share))
    return judged(ground, tried, len(looked_at(ground)))


def grades(ground: Ground, one: Corruption) -> Sequence[int]:
    """The grades of a corruption that are tried: those of the recipe, and the everyday one."""
    return sorted({*ground.limits.robustness.grades, one.everyday})


def looked_at(ground: Ground) -> frozenset[str]:
    """The patients that are looked at: all, or so many as the recipe says, half of them positive where that can be."""
    return ground.some(ground.limits.robustness.most, "robustness")


def _disturbed(
    scans: Scans, one: Corruption, grade: int, modalities: Mapping[str, str], rng: np.random.Generator
) -> _Changed:
    found: dict[str, tuple[Volume, ...]] = {}
    for role, several in scans.items():
        strength, suits = one.strength(grade), [one.suits(v, modalities[role]) for v in several]
        found[role] = tuple(one(v, strength, rng) if fit else v for v, fit in zip(several, suits, strict=True))
    same = all(new is old for role in scans for new, old in zip(found[role], scans[role], strict=True))
    return _Changed(found, not same)


def _answer(ground: Ground, case: Case, changed: _Changed, name: str) -> dict[str, float]:
    """The probabilities and whether the scan was refused, before the model or by its distance from training."""
    if changed.any:
        found = ground.predict(case, changed.scans)
        refused = found is None or decide(found, ground.bundle).action == "reject"
        p = None if found is None else found.probabilities
    else:
        row = int(np.flatnonzero(ground.rows.keys == case.key)[0])
        told = ground.report.table
        refused = "action" in told.columns and told["action"].iloc[row] == "reject"
        p = ground.rows.p[row]
    values = [float("nan")] * len(ground.facts.classes) if refused or p is None else [float(v) for v in p]
    columns = {f"{name}/{label}": value for label, value in zip(ground.facts.classes, values, strict=True)}
    return {**columns, f"{name}/{REFUSED}": float(refused)}


CHECK = Check("robustness", "Robustness to disturbed scans", judge, measure)
