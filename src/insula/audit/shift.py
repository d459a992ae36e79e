"""Whether these cases are like those of training: how common the disease is, and whether sites share one HU scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri
from scipy.stats import ttest_ind

from insula.audit.ground import Floats, Ground
from insula.audit.part import Cell, Check, Measured, Part, Table
from insula.audit.verdict import finding, size
from insula.core.types import Case, Finding
from insula.evaluate.known import site
from insula.infer.predict import Scans
from insula.metrics.compare import holm
from insula.metrics.intervals import Figure

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Are these cases like those of training, and the sites like each other?"
_FEWEST = 5  # patients of a site, and of what it is held against
_LEVEL = 0.05
_PADDED_HU = -1200.0
_LEAST_AIR = 100  # voxels


def measure(ground: Ground, case: Case, scans: Scans) -> Measured:
    """`shift/scale`: from air to soft tissue in the first CT of the case, in HU; NaN where it has no Hounsfield units.

    Between the medians around the head and in it. Bone says less, since its median follows the sharpness of a kernel.
    Air is what lies above −1,200 HU: below are the corners that a scanner pads.
    """
    volume = next((one for several in scans.values() for one in several if one.units == "HU"), None)
    head = None if volume is None else ground.sight(volume).head
    if volume is None or head is None:
        return {"shift/scale": math.nan}
    hu = volume.array[0]
    air = hu[~head & (hu > _PADDED_HU)]
    if not head.any() or len(air) < _LEAST_AIR:
        return {"shift/scale": math.nan}
    scale = float(np.median(hu[head]) - np.median(air))
    return {"shift/scale": scale if scale > 0 else math.nan}


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`shift/prevalence`: odds here by odds in training. `shift/scale/SITE`: the HU scale of a site by another's.

    Each site is held against the middle one of the others, of two middle ones the nearer, so that one wrong site does
    not make the others fail.
    """
    findings = [_prevalence(ground)]
    rows: list[tuple[Cell, ...]] = []
    sites = _sites(_scales(ground, table))
    tried = {name: found for name in sites if (found := _site(sites, name)) is not None}
    levels = dict(zip(tried, holm([one.p_value for one in tried.values()]), strict=True))
    for name, one in tried.items():
        apart = one.figure
        told = (
            f"From air to soft tissue the scale of site {name} is {100 * abs(apart.value):.1f}% "
            f"{'longer' if apart.value > 0 else 'shorter'} than that of {one.against} (p {levels[name]:.3f}, corrected "
            f"for {len(tried)} sites): {one.own:,.0f} HU against {one.other:,.0f}."
        )
        judged = finding(f"shift/scale/{name}", size(apart), ground.limits.shift.slope, told)
        if judged.verdict == "fail" and not levels[name] < _LEVEL:
            judged = replace(judged, verdict="cannot tell")
        findings.append(judged)
        rows.append((name, apart.patients, one.own, one.against, apart))
    columns = ("site", "patients", "air to soft tissue in HU", "held against", "difference of the scale")
    shown = Table("HU scale of the sites", columns, tuple(rows))
    return Part("shift", TITLE, tuple(findings), (shown,) if rows else (), notes=_notes(sites, list(tried)))


def _notes(sites: Mapping[str, Floats], tried: Sequence[str]) -> tuple[str, ...]:
    if not sites:
        return ("No case tells a site and an HU scale, so sites are not held against each other.",)
    if len(sites) == 1:
        return (f"All cases come from one site ({next(iter(sites))}), so nothing tells whether its HU scale is right.",)
    few = [name for name in sites if name not in tried]
    return (f"Too few patients to tell the HU scale of: {', '.join(few)}.",) if few else ()


def _prevalence(ground: Ground) -> Finding:
    """The odds ratio with Woolf's interval (Annals of Human Genetics 19:251, 1955), a half added to each cell."""
    y = ground.positive(ground.patients)
    here = int(y.sum()), int((~y).sum())
    trained = _trained(ground)
    counts = (len(y), len(y), here[0])
    if trained is None or min(trained) < 0 or sum(trained) == 0:
        nothing = Figure(math.nan, None, "", *counts, "the bundle does not tell the classes of its training cases")
        return finding("shift/prevalence", nothing, ground.limits.shift.prevalence, "")
    cells = np.array([*here, *trained], np.float64) + 0.5
    log_odds = math.log(cells[0] / cells[1]) - math.log(cells[2] / cells[3])
    half = float(ndtri(0.975)) * math.sqrt(float((1 / cells).sum()))
    apart = size(Figure(log_odds, (log_odds - half, log_odds + half), "Woolf", *counts))
    assert apart.interval is not None  # noqa: S101 (it was given one)
    ratio = Figure(math.exp(apart.value), (math.exp(apart.interval[0]), math.exp(apart.interval[1])), "Woolf", *counts)
    known = len(ground.bundle.baseline.patients)
    if ground.bundle.baseline.patient_ids and 0 < known < sum(trained):
        why = (
            f"the bundle counts {sum(trained)} training cases of at most {known} patients, so that its odds are of "
            "cases and those here of patients"
        )
        ratio = replace(ratio, interval=None, method="", reason=why)
    told = (
        f"{ground.facts.positive}: {here[0]} of {sum(here)} patients here, {trained[0]} of {sum(trained)} cases in "
        "training. "
        "Predictive values and calibration hold for the prevalence of training."
    )
    return finding("shift/prevalence", ratio, ground.limits.shift.prevalence, told)


def _trained(ground: Ground) -> tuple[int, int] | None:
    """Positives and negatives among the training cases, as the bundle tells them.

    Of labels that stand together it tells the number of inputs, which are the cases where these are no single pictures.
    """
    counted = ground.bundle.baseline.class_counts
    positive = counted.get(ground.facts.positive)
    if positive is None:
        return None
    if ground.facts.kind != "multilabel":
        return positive, sum(counted.values()) - positive
    total = ground.bundle.metrics.get("training", {}).get("train_inputs")
    if total is None or ground.bundle.recipe.input.unit == "image":
        return None
    return positive, int(total) - positive


def _scales(ground: Ground, table: pd.DataFrame) -> dict[str, tuple[str, float]]:
    """Of each patient the site and the mean scale of the cases; patients without either are left out."""
    if "shift/scale" not in table.columns:
        return {}
    found: dict[str, list[float]] = {}
    where: dict[str, str] = {}
    for case, value in zip(ground.cases, table["shift/scale"].to_numpy(np.float64).tolist(), strict=True):
        if math.isfinite(value) and site(case):
            found.setdefault(case.patient, []).append(value)
            where[case.patient] = site(case)
    return {patient: (where[patient], float(np.mean(values))) for patient, values in found.items()}


@dataclass(frozen=True, eq=False)
class _Held:
    """A site against others: their names, the ratio of the scales less 1, Welch's p-value, and both scales in HU."""

    against: str
    figure: Figure
    p_value: float
    own: float
    other: float


def _sites(scales: Mapping[str, tuple[str, float]]) -> dict[str, Floats]:
    """The scales of each site's patients."""
    found: dict[str, list[float]] = {}
    for name, value in scales.values():
        found.setdefault(name, []).append(value)
    return {name: np.array(found[name]) for name in sorted(found)}


def _site(sites: Mapping[str, Floats], name: str) -> _Held | None:
    """A site against the middle one of the others with enough patients, or, where none has, against all together."""
    own = sites[name]
    large = {key: values for key, values in sites.items() if key != name and len(values) >= _FEWEST}
    rest = [values for key, values in sites.items() if key != name]
    if large:
        order = sorted(large, key=lambda key: float(np.log(large[key]).mean()))
        middle = {order[(len(order) - 1) // 2], order[len(order) // 2]}
        against = min(middle, key=lambda key: (abs(float(np.log(large[key]).mean() - np.log(own).mean())), key))
        others, said = large[against], f"site {against}"
    else:
        others, said = np.concatenate(rest) if rest else np.zeros(0), "the others together"
    if min(len(own), len(others)) < _FEWEST:
        return None
    test = ttest_ind(np.log(own), np.log(others), equal_var=False)
    low, high = test.confidence_interval(0.95)
    gap = float(np.log(own).mean() - np.log(others).mean())
    ends = math.expm1(float(low)), math.expm1(float(high))
    figure = Figure(math.expm1(gap), ends, "Welch", len(own), len(own), len(own))
    return _Held(said, figure, float(test.pvalue), float(np.median(own)), float(np.median(others)))


CHECK = Check("shift", TITLE, judge, measure)
