"""Whether one class bears marks that are no medicine more often than the others: letters, implants, lines, colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from insula.audit.finders import FINDERS, TITLES, in_colour
from insula.audit.ground import Bools, Ground
from insula.audit.part import Cell, Check, Measured, Part, Table
from insula.audit.verdict import finding, size
from insula.core.types import Case, Finding
from insula.infer.predict import Scans
from insula.metrics import group_difference, proportion
from insula.metrics.intervals import Figure

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Does one class bear marks that are no medicine?"
_NAMED = 5
_MODE = "colour_mode"
_TITLES = {**TITLES, _MODE: "pictures saved in colour"}


def measure(ground: Ground, case: Case, scans: Scans) -> Measured:
    """`marks/NAME`: 1 where a finder suspects something on any scan of the case, else 0; `marks/colour_mode` likewise
    where any was saved in colour, be it grey to look at.
    """
    every = [one for several in scans.values() for one in several]
    found = {
        f"marks/{name}": float(any(ground.sight(one).found(find).any() for one in every))
        for name, find in FINDERS.items()
    }
    return found | {f"marks/{_MODE}": float(any(in_colour(one) for one in every))}


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`marks/NAME`: by how much the share of marked patients differs between positives and negatives."""
    rows = ground.patients
    y = ground.positive(rows)
    findings: list[Finding] = []
    shown: list[tuple[Cell, ...]] = []
    for name, title in _TITLES.items():
        if f"marks/{name}" not in table.columns:
            continue
        marked, known = _by_patient(ground, table, f"marks/{name}")
        with_ = proportion.figure(marked, known & y, rows.patients, "no positive")
        without = proportion.figure(marked, known & ~y, rows.patients, "no negative")
        apart = _apart(with_, without)
        limit = ground.limits.shortcuts.marks
        told = (
            f"{title.capitalize()}: {'found' if name == _MODE else 'suspected'} in {with_.events} of {with_.n} "
            f"positive patients and in {without.events} of {without.n} negative ones{_examples(table, name)}."
        )
        findings.append(finding(f"marks/{name}", size(apart), limit, told))
        shown.append((title, with_, without, apart))
    if not findings:
        return Part("marks", TITLE, (), notes=("No scan could be looked at.",))
    columns = ("what", f"of patients with {ground.facts.positive}", "of the others", "difference")
    note = "Suspected by shape and brightness, not read: look at the pictures."
    return Part(
        "marks", TITLE, tuple(findings), (Table("Share of patients with suspected marks", columns, tuple(shown), note),)
    )


def _apart(first: Figure, second: Figure) -> Figure:
    """The first share minus the second with Newcombe's interval, each patient once."""
    a, b = (group_difference.share(one.events, one.n) for one in (first, second))
    counts = (first.n + second.n, first.n + second.n, first.events + second.events)
    if not first.n or not second.n:
        return Figure(float("nan"), None, "", *counts, "there are not both positives and negatives")
    return Figure(a.value - b.value, group_difference.difference(a, b), "Newcombe", *counts)


def _by_patient(ground: Ground, table: pd.DataFrame, name: str) -> tuple[Bools, Bools]:
    """Of each patient whether any case is marked, and whether any could be looked at, (n,) each."""
    values, owners = table[name].to_numpy(np.float64), table["patient"].to_numpy(str)
    place = {key: i for i, key in enumerate(ground.patients.keys.tolist())}
    marked, known = np.zeros(len(place), bool), np.zeros(len(place), bool)
    for owner, value in zip(owners.tolist(), values.tolist(), strict=True):
        known[place[owner]] |= bool(np.isfinite(value))
        marked[place[owner]] |= value == 1.0
    return marked, known


def _examples(table: pd.DataFrame, name: str) -> str:
    found = table.loc[table[f"marks/{name}"] == 1.0, "case"].astype(str).tolist()[:_NAMED]
    return f"; for example {', '.join(found)}" if found else ""


CHECK = Check("marks", TITLE, judge, measure)
