"""What the model says when a region that holds no disease is exchanged between a positive and a negative case.

A counterfactual by cut and paste: the background beside the head, or a suspected mark, is taken from a case of the
other side and put in place of the case's own. A model that looks at the disease stays with its answer; one that looks
at the region follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from insula.audit.finders import FINDERS, TITLES
from insula.audit.ground import Floats, Ground
from insula.audit.part import Cell, Check, Measured, Part, Table
from insula.audit.sight import Mask, Sight, wider
from insula.audit.verdict import bounded, finding
from insula.core.errors import InsulaError
from insula.core.types import Case, Finding, FloatArray, Volume
from insula.infer.predict import Scans
from insula.metrics import maps

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Does the answer follow what is exchanged?"
_REACH: Mapping[str, int] = {"text": 5, "device": 5, "outline": 1, "colour": 1}  # pixels around a mark that go with it
_BESIDE = 5  # pixels around both heads that stay
_TRIES = 3


def measure(ground: Ground, case: Case, scans: Scans) -> Measured:
    """Answers with the background (`exchange/background/CLASS`) and each kind of mark of a case of the other side.

    The other case is drawn at random, of the same size where there is one. A kind of mark is exchanged where one of
    both bears it and the other does not: a marked place is put onto a bare one, or the other way round. Looked at are
    the patients that `shortcuts.most` allows, and all whose scan bears a mark.
    """
    role = ground.bundle.recipe.role
    if len(scans.get(role, ())) != 1:
        return {}
    own = ground.sight(scans[role][0])
    wanted = case.patient in ground.some(ground.limits.shortcuts.most, "shortcuts")
    if not wanted and not any(own.found(find).any() for find in FINDERS.values()):
        return {}
    partner = _partner(ground, case, own.volume)
    if partner is None:
        return {}
    other = Sight(_on_grid(partner, own.volume))
    found: dict[str, float] = {}
    for name, place in _places(own, other).items():
        changed = replace(own.volume, array=np.where(place[None], other.volume.array, own.volume.array))
        found |= ground.columns(case, {**scans, role: (changed,)}, f"exchange/{name}")
    return found


def _places(own: Sight, other: Sight) -> dict[str, Mask]:
    """What is exchanged between two scans of one grid: the background of both, and the marks that one of both bears."""
    found: dict[str, Mask] = {}
    if own.head is not None and other.head is not None:
        free = ~wider(own.head | other.head, _BESIDE)
        if free.any():
            found["background"] = free
    for name, find in FINDERS.items():
        mine, theirs = own.found(find), other.found(find)
        if mine.any() != theirs.any():
            found[name] = wider(mine | theirs, _REACH[name])
    return found


def _partner(ground: Ground, case: Case, like: Volume) -> Volume | None:
    """The scan of a case of the other side, of as many pixels where there is one; None where none fits."""
    k, role, target = ground.facts.positive, ground.bundle.recipe.role, ground.facts.target
    positive = k in case.labels[target]
    others = [c for c in ground.cases if (k in c.labels[target]) != positive and len(c.scans_of(role)) == 1]
    size = case.scans[role].attributes.get("size", "")
    alike = [c for c in others if c.scans[role].attributes.get("size", "") == size] or others
    order = ground.rng(case.key, "exchange").permutation(len(alike))[:_TRIES]
    for one in (alike[int(i)] for i in order):
        try:
            found = ground.predictor.read(replace(one, scans={role: one.scans[role]}), ground.root)[role][0]
        except (InsulaError, OSError):
            continue
        if found.units == like.units and found.full_scale == like.full_scale:
            return found
    return None


def _on_grid(volume: Volume, like: Volume) -> Volume:
    """A scan on another's pixels and slices, slice by slice from the lowest to the highest, and as many channels.

    Where its values have no unit they are scaled to the other's brightest hundredth.
    """
    count, (height, width) = like.array.shape[1], like.array.shape[2:]
    slices = np.round(np.linspace(0, volume.array.shape[1] - 1, count)).astype(int)
    channels = volume.array if len(volume.array) == len(like.array) else _channels(volume.array, len(like.array))
    moved = np.asarray(
        [[cv2.resize(plane[z], (width, height), interpolation=cv2.INTER_AREA) for z in slices] for plane in channels],
        np.float32,
    )
    if volume.units == "a.u." and volume.full_scale is None:
        own, theirs = (float(np.quantile(array, 0.99)) for array in (moved, like.array))
        moved *= theirs / own if own > 0 and theirs > 0 else 1.0
    return replace(like, array=moved)


def _channels(array: FloatArray, count: int) -> FloatArray:
    grey: FloatArray = array.mean(axis=0, keepdims=True)
    return np.repeat(grey, count, axis=0)


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`exchange/NAME`: how far the probability moves, on the mean, towards the side that the region came from."""
    findings: list[Finding] = []
    rows: list[tuple[Cell, ...]] = []
    for name, title in _titles(table).items():
        before, after = ground.changed(table, f"exchange/{name}")
        y = ground.positive(before)
        move: Floats = np.where(y, -1.0, 1.0) * (ground.scores(after) - ground.scores(before))
        mean = bounded(maps.mean(move, before.patients, "no case could be changed", signed=True))
        turned = int((ground.called(before) != ground.called(after)).sum())
        told = (
            f"With {title} of a case of the other side the probability moves by {round(mean.value, 3) + 0.0:.3f} "
            f"towards that side on the mean of {len(y)} patients; {turned} answers turn."
        )
        if not len(y):
            told = f"No case with {title} of a case of the other side was answered."
        findings.append(finding(f"exchange/{name}", mean, ground.limits.shortcuts.moved, told))
        rows.append((title, len(y), mean, turned))
    if not rows:
        return Part("exchange", TITLE, (), notes=("Nothing could be exchanged between these cases.",))
    shown = Table(
        "Moves towards the other side", ("exchanged", "patients", "mean move", "answers that turn"), tuple(rows)
    )
    return Part("exchange", TITLE, tuple(findings), (shown,))


def _titles(table: pd.DataFrame) -> Mapping[str, str]:
    """What was exchanged in any case, by name."""
    names = {column.split("/")[1] for column in table.columns if column.startswith("exchange/")}
    titles = {"background": "the background beside the head", **TITLES}
    return {name: titles[name] for name in titles if name in names}


CHECK = Check("exchange", TITLE, judge, measure)
