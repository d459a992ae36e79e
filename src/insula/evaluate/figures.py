"""Every figure of one level with its interval, from labels and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from insula.evaluate.facts import Bools, Facts, Floats, answers
from insula.evaluate.outcome import ClassFigures, Curves, Level
from insula.evaluate.table import Sample
from insula.metrics import calibration, intervals
from insula.metrics import classification as cl
from insula.metrics.intervals import Figure

Compute = Callable[[Floats], dict[str, Floats]]
_LARGEST = 400_000_000
_UNDEFINED = {
    "sensitivity": "no row is positive",
    "specificity": "no row is negative",
    "ppv": "no row was called positive",
    "npv": "no row was called negative",
    "f1": "no row is positive or was called so",
    "f2": "no row is positive or was called so",
    "roc_auc": "the rows do not hold both positives and negatives",
    "pr_auc": "no row is positive",
    "mcc": "the answers or the labels are all the same",
    "kappa": "the answers and the labels are all the same",
    "log_loss_balanced": "a class has no row",
    "balanced_accuracy": "a class has no row",
}


def replicate_count(rows: int, asked: int) -> int:
    """Fewer replicates on very large tables (rows × replicates is bounded), yet never below 200 unless asked."""
    return min(asked, max(200, _LARGEST // max(rows, 1)))


def level(name: str, rows: Sample, facts: Facts, replicates: int) -> Level:
    """All figures of a sample; intervals from `replicates` bootstrap samples of whole patients."""
    called = answers(rows.p, facts, rows.limits)
    replicates = replicate_count(len(rows.keys), replicates)
    figures = _all(rows, called, facts, replicates)
    classes = {}
    for k, label in enumerate(facts.classes):
        c = cl.counts(rows.y[:, k], called[:, k], cl.once(len(called)))
        limited = facts.kind == "multilabel" or label == facts.positive
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
    if facts.kind == "multiclass":
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
        _curves(rows, facts, replicates),
    )


def share(hit: Bools, among: Bools, patients: np.ndarray, replicates: int, seed: int, nothing: str) -> Figure:
    """The share of `hit` within `among`, (n,) both, with its interval over patients."""

    def compute(w: Floats) -> dict[str, Floats]:
        return {"share": cl.ratio(w @ (hit & among), w @ among.astype(float))}

    point, spread = _run(compute, patients, replicates, seed)
    return _figure("share", point, spread, _Ground(among, hit & among, patients, True, nothing))


class _Ground:
    """What a figure rests on: rows that count, rows that are events, whether it is a share, why it may be undefined."""

    def __init__(self, among: Bools, events: Bools, patients: np.ndarray, is_share: bool, nothing: str) -> None:
        self.n = int(among.sum())
        self.events = int(events.sum())
        self.patients = len(np.unique(patients[among]))
        self.positives = len(np.unique(patients[events]))
        self.is_share = is_share
        self.nothing = nothing


def _all(rows: Sample, called: Bools, facts: Facts, replicates: int) -> dict[str, dict[str, Figure]]:
    """Figures by class name; "" holds those over all classes and "macro" the means over the classes."""
    whole = np.ones(len(called), dtype=bool)

    def compute(w: Floats) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for k, label in enumerate(facts.classes):
            one = _one_class(rows.y[:, k], rows.p[:, k], called[:, k], w)
            found |= {f"{label}/{name}": values for name, values in one.items()}
        for name in one:
            found[f"macro/{name}"] = np.mean([found[f"{label}/{name}"] for label in facts.classes], axis=0)
        found |= {f"/{name}": values for name, values in _overall(rows, called, facts, w).items()}
        return found

    point, spread = _run(compute, rows.patients, replicates, facts.seed)
    result: dict[str, dict[str, Figure]] = {key: {} for key in (*facts.classes, "macro", "")}
    for key in point:
        label, _, name = key.rpartition("/")
        nothing = _UNDEFINED.get(name, "not defined here")
        if label in facts.classes:
            k = facts.classes.index(label)
            ground = _ground(name, rows.y[:, k], called[:, k], rows.patients, nothing)
        elif name == "accuracy" and not label:
            ground = _Ground(whole, (rows.y == called).all(axis=1), rows.patients, True, nothing)
        else:
            among = "in at least one class " + nothing if label else nothing
            ground = _Ground(whole, rows.y[:, facts.positive_index], rows.patients, False, among)
        result[label][name] = _figure(name, point, spread, ground, key)
    return result


def _one_class(y: Bools, p: Floats, called: Bools, w: Floats) -> dict[str, Floats]:
    return cl.table_figures(cl.counts(y, called, w)) | {
        "roc_auc": cl.roc_auc(y, p, w),
        "pr_auc": cl.average_precision(y, p, w),
        "brier": cl.brier(y, p, w),
        "log_loss": cl.log_loss(y, p, w),
        "ece": calibration.ece(y, p, w),
    }


def _overall(rows: Sample, called: Bools, facts: Facts, w: Floats) -> dict[str, Floats]:
    if facts.kind == "multilabel":
        return {"accuracy": cl.ratio(w @ (rows.y == called).all(axis=1), w.sum(axis=1))}
    matrix = cl.confusion(rows.y.argmax(1), called.argmax(1), len(facts.classes), w)
    recall = cl.ratio(np.diagonal(matrix, axis1=1, axis2=2), matrix.sum(axis=2))
    return {
        "accuracy": cl.accuracy(matrix),
        "balanced_accuracy": recall.mean(axis=1),
        "mcc": cl.mcc(matrix),
        "kappa": cl.kappa(matrix),
        "brier": cl.brier(rows.y, rows.p, w),
        "log_loss": cl.log_loss_classes(rows.y, rows.p, w),
        "log_loss_balanced": cl.log_loss_balanced(rows.y, rows.p, w),
    }


def _ground(name: str, y: Bools, called: Bools, patients: np.ndarray, nothing: str) -> _Ground:
    whole = np.ones(len(y), dtype=bool)
    shares = {
        "accuracy": (whole, y == called),
        "sensitivity": (y, y & called),
        "specificity": (~y, ~y & ~called),
        "ppv": (called, y & called),
        "npv": (~called, ~y & ~called),
    }
    among, events = shares.get(name, (whole, y))
    return _Ground(among, events, patients, name in shares, nothing)


def _run(compute: Compute, patients: np.ndarray, count: int, seed: int) -> tuple[dict[str, Floats], dict[str, Floats]]:
    point = compute(cl.once(len(patients)))
    blocks = [compute(w) for w in intervals.replicates(patients, count, seed)]
    return point, {key: np.concatenate([block[key] for block in blocks]) for key in point}


def _figure(
    name: str, point: Mapping[str, Floats], spread: Mapping[str, Floats], ground: _Ground, key: str = ""
) -> Figure:
    value = float(point[key or name][0])
    counts = (ground.patients, ground.n, ground.events)
    if not np.isfinite(value):
        return Figure(value, None, "", *counts, ground.nothing)
    found = intervals.percentile(spread[key or name])
    if found is None:
        return Figure(value, None, "", *counts, "fewer than half of the bootstrap samples define it: too few patients")
    if not intervals.is_degenerate(found):
        return Figure(value, found, "bootstrap", *counts)
    if ground.is_share:
        return Figure(value, intervals.wilson(value * ground.patients, ground.patients), "Wilson", *counts)
    if name == "roc_auc" and key != "macro/roc_auc" and 0 < ground.positives < ground.patients:
        ends = intervals.newcombe_auc(value, ground.positives, ground.patients - ground.positives)
        return Figure(value, ends, "Newcombe", *counts)
    return Figure(value, None, "", *counts, "all bootstrap samples agree")


def _corners(y: Bools, p: Floats) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The ROC curve without the points that lie on a straight line between their neighbours."""
    if y.all() or not y.any():
        return None
    x, t = (side[0] for side in cl.roc_curve(y, p, cl.once(len(y))))
    dx, dt = np.diff(x), np.diff(t)
    bends = np.abs(dx[:-1] * dt[1:] - dx[1:] * dt[:-1]) > 1e-15
    keep = np.concatenate([[True], bends, [True]])
    return tuple(x[keep].tolist()), tuple(t[keep].tolist())


def _curves(rows: Sample, facts: Facts, replicates: int) -> Curves:
    k = facts.positive_index
    y, p = rows.y[:, k], rows.p[:, k]
    points = calibration.reliability(y, p)
    observed = tuple(intervals.wilson(s, n) for s, n in zip(points.positives, points.count, strict=True))
    edges = np.linspace(0.0, 1.0, 21)
    groups = {facts.positive: y, f"not {facts.positive}": ~y}
    if facts.kind == "multiclass":
        groups = {name: rows.y[:, i] for i, name in enumerate(facts.classes)}
    histogram = {name: tuple(np.histogram(p[of], edges)[0].tolist()) for name, of in groups.items()}
    band = None
    if y.any() and not y.all():
        grid = np.linspace(0.0, 1.0, 101)
        curves = []
        for w in intervals.replicates(rows.patients, replicates, facts.seed):
            x, t = cl.roc_curve(y, p, w)
            curves += [np.interp(grid, a, b) for a, b in zip(x, t, strict=True) if np.isfinite(a[-1] + b[-1])]
        if curves:
            low, high = np.quantile(curves, [0.025, 0.975], axis=0)
            band = (tuple(grid.tolist()), tuple(low.tolist()), tuple(high.tolist()))
    return Curves(band, points, observed, tuple(edges.tolist()), histogram)
