"""Whether the model fails some patients: age bands, sex, scanner, site, image quality and any other column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from insula.audit import groups as making
from insula.audit import subgroup_tables as tables
from insula.audit.ground import Ground
from insula.audit.part import Check, Measured, Part, Table
from insula.audit.subgroup_findings import Answers, Compared, compare, enough, findings
from insula.cohort import quality
from insula.core.recipe import Recipe
from insula.core.types import Case, Finding
from insula.infer.predict import Scans

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Whether the model fails some patients"
_QUALITY = ("noise", "sharpness")


def measure(ground: Ground, case: Case, scans: Scans) -> Measured:
    """Noise and sharpness of the middle slice of the case's first scan (`cohort.quality`), where groups use them."""
    wanted = [name for name in _QUALITY if not ground.limits.subgroups.by or name in ground.limits.subgroups.by]
    volumes = scans.get(ground.bundle.recipe.role, ())
    if not wanted or not volumes:
        return {f"subgroups/{name}": math.nan for name in wanted}
    found = quality.measure(volumes[0], volumes[0].array.shape[1] // 2)
    return {f"subgroups/{name}": math.nan if found is None else getattr(found, name) for name in wanted}


@dataclass(frozen=True)
class Looked:
    """All groups of an audit beside all other patients. small: groups of two columns of which nothing can be said."""

    answers: Answers
    found: making.Found
    groups: tuple[making.Group, ...]
    of_one: tuple[Compared, ...]
    of_pairs: tuple[Compared, ...]
    small: int
    findings: tuple[Finding, ...]


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`subgroups/GROUP/FIGURE`: by how much a group is worse than all other patients; the worst group first.

    Nothing is said of a group with fewer than `events` positives (of sensitivity), negatives (of specificity), or of
    either (of ROC-AUC and calibration): that is "not enough cases", and no pass.
    """
    seen, limits = look(ground, table), ground.limits.subgroups
    answers, events = seen.answers, limits.events
    shown: list[Table] = []
    if seen.groups:
        shown.append(tables.by_group(seen.groups, answers, events, ground.replicates, ground.seed))
        shown.append(tables.against_others(seen.of_one, "Against all other patients"))
    if seen.of_pairs:
        shown.append(tables.against_others(seen.of_pairs, "Two columns at once, against all other patients"))
    apart = tables.between(seen.found.columns, answers, events, ground.seed)
    shown += [apart] if apart.rows else []
    if seen.groups:
        at = float(np.median(ground.patients.limits[:, ground.facts.positive_index]))
        aim = ground.bundle.recipe.policy.operating_point
        shown.append(tables.at_threshold(seen.groups, answers, at, aim, events))
    return Part("subgroups", TITLE, seen.findings, tuple(shown), notes=_notes(seen))


def look(ground: Ground, table: pd.DataFrame) -> Looked:
    """Every group in every figure, as findings; table: may hold `subgroups/noise` and `subgroups/sharpness`."""
    rows, limits = ground.patients, ground.limits.subgroups
    answers = Answers(ground.positive(rows), ground.called(rows), ground.scores(rows))
    names = [name for name in _QUALITY if f"subgroups/{name}" in table.columns]
    measured = {name: table[f"subgroups/{name}"].to_numpy(dtype=np.float64) for name in names}
    without = answering(ground.bundle.recipe)
    found = making.find(ground.cases, rows.keys.tolist(), answers.y, limits, without, measured)
    single = making.singles(found.columns)
    of_one = [one for group in single for one in compare(group, answers, limits)]
    paired = making.pairs(found.columns, limits) if limits.intersections else []
    big = [group for group in paired if enough(group.member, answers.y, limits.events)]
    of_pairs = [one for group in big for one in compare(group, answers, limits)]
    judged = findings(of_one, [one for one in of_pairs if not one.few])
    judged = (*judged, *(_absent(name) for name in found.absent))
    small = len(paired) - len(big)
    return Looked(answers, found, tuple(single), tuple(of_one), tuple(of_pairs), small, judged)


def answering(recipe: Recipe) -> set[str]:
    """Columns that hold answers, by which no groups are made."""
    columns = {name for key, t in recipe.targets.items() for name in (key, t.column, t.time, t.event, *t.classes)}
    return {name for name in columns if name}


def _absent(name: str) -> Finding:
    said = f"No case carries the column '{name}' that audit.subgroups.by names; correct it, or index with that column."
    return Finding(f"subgroups/{name}", math.nan, None, math.nan, "cannot tell", said)


def _notes(seen: Looked) -> tuple[str, ...]:
    notes: list[str] = []
    if not seen.found.columns:
        notes.append("No column of the cohort divides these patients, so that nothing can be said of subgroups.")
    first = next(iter(seen.findings), None)
    if first is not None and first.value > 0:
        looked_at = sum(one.judged for one in (*seen.of_one, *seen.of_pairs))
        notes.append(
            f"Worst of {looked_at} comparisons: {first.check.removeprefix('subgroups/')}. {first.evidence} "
            "The worst of many looks worse than it is."
        )
    short = list(dict.fromkeys(one.group for one in seen.of_one if one.few))
    if short:
        notes.append(f"Not enough cases to say everything of {len(short)} groups: {_named(short)}.")
    if seen.small:
        notes.append(f"{seen.small} groups of two columns at once have too few cases to say anything of them.")
    return (*notes, *seen.found.notes)


def _named(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


CHECK = Check("subgroups", TITLE, judge, measure)
