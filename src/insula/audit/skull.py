"""What the model says when the bone is taken away, which a disease of the brain does not need."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from insula.audit.ground import Bools, Floats, Ground
from insula.audit.lost import SAME, Losses, losses
from insula.audit.part import Cell, Check, Measured, Part, Table
from insula.audit.sight import Sight
from insula.audit.verdict import bounded, finding
from insula.core.errors import UnsuitableScanError
from insula.core.types import Case, Finding, Volume
from insula.evaluate.table import Sample
from insula.infer.predict import Scans
from insula.metrics import compare, maps, proportion
from insula.metrics.intervals import Figure
from insula.prep.bright_skull import without_bright_skull

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Does the model need the skull?"
_STEP = 0.02  # of the probability of the true side: smaller changes count as none
_AIR = -1000.0  # HU
_NONE = "no CT with a brain enclosed by bone, in Hounsfield units or in a picture that shows bone white"
_SHOWN = "skull/~picture"  # no class may begin with that sign
_BY_BRIGHTNESS = (
    "These are pictures without Hounsfield units: bone is what is white around the brain, and everything but the brain "
    "was made black in {changed} of {all} cases; in the others no brain is enclosed by white. Fresh blood against the "
    "skull is as white as bone and goes with it, so a loss is no failure here: look at the pictures."
)
PLAINER = "a picture does not tell bone from blood beside it, so this is no sign by itself"


def measure(ground: Ground, case: Case, scans: Scans) -> Measured:
    """The answer without bone as `skull/CLASS`, and whether bone was found by brightness (`skull/~picture`).

    Nothing of a case without a CT in Hounsfield units or in pictures, or without a brain that bone encloses.
    """
    in_hu = any(one.units == "HU" for several in scans.values() for one in several)
    changed: dict[str, tuple[Volume, ...]] = {}
    for role, several in scans.items():
        picture = not in_hu and ground.bundle.recipe.inputs[role].modality == "CT"
        without = tuple(_taken_away(ground, one, picture) for one in several)
        kept = tuple(one for one in without if one is not None)
        if len(kept) < len(several):
            return {}
        changed[role] = kept
    if all(new is old for role in scans for new, old in zip(changed[role], scans[role], strict=True)):
        return {}
    return {**ground.columns(case, changed, "skull"), _SHOWN: float(not in_hu)}


def _taken_away(ground: Ground, one: Volume, picture: bool) -> Volume | None:
    """A scan without its skull: in Hounsfield units, or as a CT picture; itself where it is neither.

    None where no brain is found.
    """
    if one.units == "HU":
        return _without(ground.sight(one))
    return _in_picture(one) if picture and one.full_scale else one


def _without(on: Sight) -> Volume | None:
    """The scan as `prep.brain.remove_skull` leaves it; None where no brain is found."""
    if on.brain is None:
        return None
    return replace(on.volume, array=np.where(on.brain, on.volume.array, np.float32(_AIR)))


def _in_picture(volume: Volume) -> Volume | None:
    try:
        return without_bright_skull(volume)
    except UnsuitableScanError:
        return None


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
    told = f"The answer changes in {changed.events} of {changed.n} patients."
    findings: tuple[Finding, ...] = (
        finding("skull/roc_auc", _judgeable(lost, ground.limits.robustness.events), limits.roc_auc, _areas(lost, p)),
        finding("skull/changed", changed, limits.changed, told),
    )
    shown_in = table[_SHOWN].to_numpy(np.float64)
    notes: tuple[str, ...] = ()
    if (shown_in == 1.0).any():
        findings = tuple(_less_sure(one) for one in findings)
        counted = {"changed": f"{int(np.isfinite(shown_in).sum()):,}", "all": f"{len(table):,}"}
        notes = (_BY_BRIGHTNESS.format_map(counted),)
    shown = Table(
        "Probability of the true side without the skull, by label",
        ("label", "patients", "better", "worse", "unchanged", "mean change", "p (sign test)"),
        tuple(_row(name, ground, before, after, among) for name, among in _labels(ground, before)),
        f"Changes below {_STEP:g} count as unchanged.",
    )
    return Part("skull", TITLE, findings, (shown,), notes=notes)


def _less_sure(one: Finding) -> Finding:
    """A finding about pictures: that nothing is lost can be said, but not why something is."""
    if one.verdict != "fail":
        return one
    return replace(one, verdict="cannot tell", evidence=f"{one.evidence} Beyond the limit, but {PLAINER}.".lstrip())


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
