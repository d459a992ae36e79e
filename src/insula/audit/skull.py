"""What the model says when the bone is taken away, which a disease of the brain does not need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from insula.audit.ground import Bools, Floats, Ground
from insula.audit.lost import SAME, Losses, losses
from insula.audit.part import Cell, Check, Measured, Part, Table
from insula.audit.sight import Sight
from insula.audit.verdict import bounded, finding
from insula.core.types import Case, Finding, Volume
from insula.evaluate.table import Sample
from insula.infer.predict import Scans
from insula.metrics import compare, maps, proportion
from insula.metrics.intervals import Figure

TITLE = "Does the model need the skull?"
_STEP = 0.02  # of the probability of the true side: smaller changes count as none
_AIR = -1000.0  # HU
_NONE = "no scan in Hounsfield units whose skull could be taken away"


def measure(ground: Ground, case: Case, scans: Scans) -> Measured:
    """The answer without bone as `skull/CLASS`; nothing of a case without a CT in Hounsfield units."""
    if not any(one.units == "HU" for several in scans.values() for one in several):
        return {}
    changed: dict[str, tuple[Volume, ...]] = {}
    for role, several in scans.items():
        without = tuple(_without(ground.sight(one)) if one.units == "HU" else one for one in several)
        kept = tuple(one for one in without if one is not None)
        if len(kept) < len(several):
            return {}
        changed[role] = kept
    return ground.columns(case, changed, "skull")


def _without(on: Sight) -> Volume | None:
    """The scan as `prep.brain.remove_skull` leaves it; None where no brain is found."""
    if on.brain is None:
        return None
    return replace(on.volume, array=np.where(on.brain, on.volume.array, np.float32(_AIR)))


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`skull/roc_auc` lost without bone, `skull/changed` answers; better, worse and unchanged in a table by label."""
    if f"skull/{ground.facts.positive}" not in table.columns:
        return Part("skull", TITLE, (), notes=(f"The skull was not taken away: {_NONE}.",))
    before, after = ground.changed(table, "skull")
    if not len(before.keys):
        return Part("skull", TITLE, (), notes=("The model refuses every scan without a skull.",))
    y = ground.positive(before)
    lost = losses(ground, before, after)
    p = compare.delong(y, ground.scores(before), ground.scores(after)).p_value
    other = ground.called(before) != ground.called(after)
    changed = proportion.figure(other, np.ones(len(y), bool), before.patients, "no patient")
    limits = ground.limits.skull
    findings: list[Finding] = [
        finding(
            "skull/roc_auc",
            _judgeable(lost, ground.limits.robustness.events),
            limits.roc_auc,
            _areas(lost, p),
        ),
        finding(
            "skull/changed",
            changed,
            limits.changed,
            f"The answer changes in {changed.events} of {changed.n} patients.",
        ),
    ]
    shown = Table(
        "Probability of the true side without the skull, by label",
        ("label", "patients", "better", "worse", "unchanged", "mean change", "p (sign test)"),
        tuple(_row(name, ground, before, after, among) for name, among in _labels(ground, before)),
        f"Changes below {_STEP:g} count as unchanged.",
    )
    return Part("skull", TITLE, tuple(findings), (shown,))


def _judgeable(lost: Losses, events: int) -> Figure:
    """The ROC-AUC lost; that few patients stand in the same order as before is no sign that more would."""
    figure, fewer = lost.figures["roc_auc"], min(lost.positives, lost.negatives)
    if figure.reason != SAME or fewer >= events:
        return figure
    few = f"{lost.positives} positive and {lost.negatives} negative patients stand in the same order; {events} of each"
    return replace(figure, reason=f"{few} are needed to tell")


def _areas(lost: Losses, p: float) -> str:
    first, second = lost.areas
    if not np.isfinite(first):
        return ""
    said = f" (DeLong p {p:.3f})" if np.isfinite(p) else ""
    return f"ROC-AUC {first:.3f} with the skull and {second:.3f} without it{said}."


def _labels(ground: Ground, rows: Sample) -> list[tuple[str, Bools]]:
    """All patients, and those of each label: some bleed deep in the brain, others under the skull."""
    found = [("all", np.ones(len(rows.keys), bool))]
    found += [(name, rows.y[:, k]) for k, name in enumerate(ground.facts.classes)]
    if ground.facts.kind == "multilabel":
        found.append((f"not {ground.facts.positive}", ~ground.positive(rows)))
    return [(name, among) for name, among in found if among.any()]


def _row(name: str, ground: Ground, before: Sample, after: Sample, among: Bools) -> tuple[Cell, ...]:
    y = ground.positive(before)
    change = (_true_side(y, ground.scores(after)) - _true_side(y, ground.scores(before)))[among]
    better, worse = int((change >= _STEP).sum()), int((change <= -_STEP).sum())
    mean = bounded(maps.mean(change, before.patients[among], "no patient", signed=True))
    p = compare.sign_test(better, worse)
    return name, int(among.sum()), better, worse, int(among.sum()) - better - worse, mean, p


def _true_side(y: Bools, p: Floats) -> Floats:
    found: Floats = np.where(y, p, 1 - p)
    return found


CHECK = Check("skull", TITLE, judge, measure)
