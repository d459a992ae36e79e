"""Every figure of one level with its interval, from labels and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insula.evaluate.facts import Bools, Facts, Floats, answers
from insula.evaluate.outcome import ClassFigures, Curves, Level
from insula.evaluate.table import Sample
from insula.metrics import calibration, calibration_slope, interval_choice, intervals, proportion, resample
from insula.metrics import classification as cl
from insula.metrics.interval_choice import Evidence
from insula.metrics.intervals import Figure
from insula.metrics.panel import Panel, panel

_GRID = np.linspace(0.0, 1.0, 101)
_UNDEFINED = {
    "sensitivity": "no row is positive",
    "specificity": "no row is negative",
    "ppv": "no row was called positive",
    "npv": "no row was called negative",
    "f1": "no row is positive",
    "f2": "no row is positive",
    "roc_auc": "the rows do not hold both positives and negatives",
    "pr_auc": "no row is positive",
    "mcc": "the answers or the labels are all the same",
    "kappa": "the labels are all the same",
    "kappa_quadratic": "the labels are all the same",
    "log_loss_balanced": "a class has no row",
    "balanced_accuracy": "a class has no row",
}


def level(name: str, rows: Sample, facts: Facts, replicates: int) -> Level:
    """All figures of a sample; intervals from `replicates` bootstrap samples of whole patients and the jackknife."""
    called = answers(rows.p, facts, rows.limits)
    found = _resampled(panel(rows.y, rows.p, called, rows.patients, facts.kind, facts.classes), facts, replicates)
    figures = _all(name, rows, called, facts, found)
    exclusive = facts.kind != "multilabel"
    classes = {}
    for k, label in enumerate(facts.classes):
        c = cl.counts(rows.y[:, k], called[:, k], cl.once(len(called)))
        limited = not exclusive or label == facts.positive
        classes[label] = ClassFigures(
            facts.threshold(label) if limited else None,
            int(c.tp[0]),
            int(c.fp[0]),
            int(c.fn[0]),
            int(c.tn[0]),
            figures[label],
            _corners(rows.y[:, k], rows.p[:, k]),
        )
    confusion = None
    if exclusive:
        matrix = cl.confusion(rows.y.argmax(1), called.argmax(1), len(facts.classes), cl.once(len(called)))[0]
        confusion = tuple(tuple(int(v) for v in line) for line in matrix)
    return Level(
        name,
        len(rows.keys),
        len(np.unique(rows.patients)),
        replicates,
        figures[""],
        figures["macro"],
        classes,
        confusion,
        _curves(rows, facts, found.band),
    )


@dataclass(frozen=True)
class _Resampled:
    """Figures of the sample itself (1,), of its bootstrap replicates (R,) and of its jackknife (J,); the ROC band.

    owner: (n,) number of the patient of each row. gaps: what each calibration error is a sum of, (1, B) and (R, B).
    """

    owner: NDArray[np.intp]
    point: Mapping[str, Floats]
    spread: Mapping[str, Floats]
    jackknife: Mapping[str, Floats]
    gaps: Mapping[str, tuple[Floats, Floats]]
    band: Floats | None


def _resampled(ready: Panel, facts: Facts, replicates: int) -> _Resampled:
    """All at once, so that each replicate is drawn a single time."""
    point = ready.figures(np.ones((1, ready.patients)))
    jackknife = ready.figures(resample.left_out(ready.patients))
    blocks, gaps, curves = [], [], []
    positive = ready.rankings[facts.positive_index]
    for w in intervals.draws(ready.patients, replicates, facts.seed):
        blocks.append(ready.figures(w))
        gaps.append(ready.gaps(w))
        curves.append(positive.band(w, _GRID))
    spread = {key: np.concatenate([block[key] for block in blocks]) for key in point}
    whole = ready.gaps(np.ones((1, ready.patients)))
    both_gaps = {key: (whole[key], np.concatenate([block[key] for block in gaps])) for key in whole}
    rates = np.concatenate(curves)
    rates = rates[np.isfinite(rates).all(axis=1)]
    both = np.isfinite(point[f"{facts.positive}/roc_auc"][0]) and len(rates) > 0
    band = np.quantile(rates, [0.025, 0.975], axis=0) if both else None
    return _Resampled(ready.owner, point, spread, jackknife, both_gaps, band)


@dataclass(frozen=True)
class _Ground:
    """What a figure rests on: rows that count and rows that are events, patients with and without a class."""

    among: Bools
    events: Bools
    rarest: int
    nothing: str


def _all(of: str, rows: Sample, called: Bools, facts: Facts, found: _Resampled) -> dict[str, dict[str, Figure]]:
    """Figures by class name; "" holds those over all classes and "macro" the means over the classes.

    of: what a row is, for the reasons: patient or case.
    """
    whole = np.ones(len(called), dtype=bool)
    rarest = [_rarest(rows.y[:, k], found.owner) for k in range(len(facts.classes))]
    result: dict[str, dict[str, Figure]] = {key: {} for key in (*facts.classes, "macro", "")}
    for key in found.point:
        label, _, name = key.rpartition("/")
        nothing = _UNDEFINED.get(name, "not defined here").replace("row", of)
        if label in facts.classes:
            k = facts.classes.index(label)
            among, events = _rows_behind(name, rows.y[:, k], called[:, k])
            ground = _Ground(among, events, rarest[k], nothing)
        elif name in ("accuracy", "within_one") and not label:
            ground = _Ground(whole, _right(name, rows.y, called), 0, nothing)
        else:
            reason = f"not defined in every class: {nothing}" if label else nothing
            ground = _Ground(whole, rows.y[:, facts.positive_index], min(rarest), reason)
        result[label][name] = _figure(key, found, ground)
    for k, label in enumerate(facts.classes):
        sides = (rows.y[:, k], rows.p[:, k], found.owner)
        result[label]["calibration_slope"] = calibration_slope.slope(*sides)
        result[label]["calibration_intercept"] = calibration_slope.intercept(*sides)
    return result


def _rows_behind(name: str, y: Bools, called: Bools) -> tuple[Bools, Bools]:
    whole = np.ones(len(y), dtype=bool)
    shares = {
        "accuracy": (whole, y == called),
        "sensitivity": (y, y & called),
        "specificity": (~y, ~y & ~called),
        "ppv": (called, y & called),
        "npv": (~called, ~y & ~called),
    }
    return shares.get(name, (whole, y))


def _right(name: str, y: Bools, called: Bools) -> Bools:
    if name == "within_one":
        near: Bools = np.abs(y.argmax(axis=1) - called.argmax(axis=1)) <= 1
        return near
    same: Bools = (y == called).all(axis=1)
    return same


def _rarest(y: Bools, owner: NDArray[np.intp]) -> int:
    return min(_patients(owner, y), _patients(owner, ~y))


def _patients(owner: NDArray[np.intp], among: Bools) -> int:
    return int(np.count_nonzero(np.bincount(owner[among])))


def _figure(key: str, found: _Resampled, ground: _Ground) -> Figure:
    label, _, name = key.rpartition("/")
    choice = interval_choice.of(name, averaged=label == "macro")
    if choice.form == "share":
        share = proportion.figure(ground.events, ground.among, found.owner, ground.nothing)
        return replace(share, note=choice.note if share.interval else "")
    value = float(found.point[key][0])
    behind = _patients(found.owner, ground.among)
    counts = (behind, int(ground.among.sum()), int(ground.events.sum()))
    if not np.isfinite(value):
        return Figure(value, None, "", *counts, ground.nothing)
    gaps = (found.gaps[key][0][0], found.gaps[key][1]) if key in found.gaps else None
    evidence = Evidence(value, found.spread[key], found.jackknife[key], behind, counts[1], ground.rarest, gaps)
    return resample.judged(choice, evidence, counts)


def _corners(y: Bools, p: Floats) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The ROC curve without the points that lie on a straight line between their neighbours."""
    if y.all() or not y.any():
        return None
    x, t = (side[0] for side in cl.roc_curve(y, p, cl.once(len(y))))
    dx, dt = np.diff(x), np.diff(t)
    bends = np.abs(dx[:-1] * dt[1:] - dx[1:] * dt[:-1]) > 1e-15
    keep = np.concatenate([[True], bends, [True]])
    return tuple(x[keep].tolist()), tuple(t[keep].tolist())


def _curves(rows: Sample, facts: Facts, band: Floats | None) -> Curves:
    k = facts.positive_index
    y, p = rows.y[:, k], rows.p[:, k]
    points = calibration.reliability(y, p)
    observed = tuple(intervals.wilson(s, n) for s, n in zip(points.positives, points.count, strict=True))
    edges = np.linspace(0.0, 1.0, 21)
    groups = {facts.positive: y, f"not {facts.positive}": ~y}
    if facts.kind != "multilabel":
        groups = {name: rows.y[:, i] for i, name in enumerate(facts.classes)}
    histogram = {name: tuple(np.histogram(p[of], edges)[0].tolist()) for name, of in groups.items()}
    drawn = None
    if band is not None:
        drawn = (tuple(_GRID.tolist()), tuple(band[0].tolist()), tuple(band[1].tolist()))
    return Curves(drawn, points, observed, tuple(edges.tolist()), histogram)
