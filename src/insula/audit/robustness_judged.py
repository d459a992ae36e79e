"""From what each corruption costs to findings, a table and charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from insula.audit.corrupt.corruption import Corruption
from insula.audit.ground import Ground
from insula.audit.lost import Losses, p_beyond
from insula.audit.part import Chart, Part, Table
from insula.audit.verdict import finding
from insula.core.types import Finding
from insula.evaluate.table import Sample
from insula.metrics import resample
from insula.metrics.compare import holm
from insula.metrics.intervals import Figure
from insula.metrics.ranking import rank

_LEVEL: Final = 0.025  # one-sided, as one end of a 95% interval
_WORDS: Final = {"roc_auc": "ROC-AUC", "sensitivity": "sensitivity"}
_COLUMNS: Final = (
    "Corruption",
    "Grade",
    "Strength",
    "Patients",
    "ROC-AUC",
    "ROC-AUC lost",
    "Sensitivity lost",
    "Specificity lost",
    "Accuracy lost",
    "Confidence lost",
    "Brier score gained",
    "Scans refused",
)


@dataclass(frozen=True, eq=False)
class Tried:
    """One corruption at one grade: the answers of those that were answered both times, the losses, scans refused."""

    corruption: Corruption
    grade: int
    before: Sample
    after: Sample
    lost: Losses
    refused: Figure

    @property
    def everyday(self) -> bool:
        """Whether this is the grade by which ordinary scanners and archives differ."""
        return self.grade == self.corruption.everyday

    @property
    def strength(self) -> str:
        """Its strength in words."""
        return f"{self.corruption.strength(self.grade):g} ({self.corruption.unit})"


def judged(ground: Ground, tried: Sequence[Tried], looked_at: int) -> Part:
    """The part of an audit. looked_at: patients that were chosen to be looked at."""
    limits = ground.limits.robustness
    everyday = [one for one in tried if one.everyday]
    findings = [
        *_findings(ground, everyday, "roc_auc", limits.roc_auc),
        *_findings(ground, everyday, "sensitivity", limits.sensitivity),
        finding(
            "robustness/mean_roc_auc",
            mean_lost(ground, tried),
            limits.mean_roc_auc,
            f"ROC-AUC lost on average over {len(everyday)} corruptions, each over its strengths. {_worst(tried)}",
        ),
    ]
    rows = tuple(_row(one) for one in tried)
    note = "Before less after, of the patients answered both times. The everyday grade is marked with a star."
    return Part(
        "robustness",
        "Robustness to disturbed scans",
        tuple(findings),
        (Table("Lost by corruption and strength", _COLUMNS, rows, note),) if rows else (),
        tuple(_chart(one, [t for t in tried if t.corruption is one]) for one in _corruptions(tried)),
        _notes(ground, everyday, looked_at),
    )


def mean_lost(ground: Ground, tried: Sequence[Tried]) -> Figure:
    """The mean over corruptions of the mean over grades of the ROC-AUC lost, with an interval over patients.

    Strengths that left too few patients answered are not in it; where all did, it is the mean of them all, without an
    interval.
    """
    enough = [one for one in tried if not _too_few(ground, one.lost, "roc_auc")]
    among = enough or [one for one in tried if np.isfinite(one.lost.figures["roc_auc"].value)]
    keys = ground.patients.keys
    positives = int(ground.positive(ground.patients).sum())
    if not among:
        nobody = "at no strength were patients of both classes answered"
        return Figure(float("nan"), None, "", len(keys), len(keys), positives, nobody)
    places = {str(key): i for i, key in enumerate(keys)}
    sets = []
    for one in among:
        y = ground.positive(one.before)
        at = np.array([places[str(key)] for key in one.before.keys])
        sets.append((at, rank(y, ground.scores(one.before)), rank(y, ground.scores(one.after))))
    of = [_corruptions(among).index(one.corruption) for one in among]
    seen = np.unique(np.concatenate([at for at, _, _ in sets]))
    fewer = {int(place): i for i, place in enumerate(seen)}
    sets = [(np.array([fewer[int(place)] for place in at]), old, new) for at, old, new in sets]

    def compute(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        lost = np.stack([old.figures(weights[:, at])[0] - new.figures(weights[:, at])[0] for at, old, new in sets])
        each = np.stack([lost[[i for i, c in enumerate(of) if c == k]].mean(axis=0) for k in range(max(of) + 1)])
        mean: NDArray[np.float64] = each.mean(axis=0)
        return mean

    events = int(ground.positive(ground.patients)[seen].sum())
    if not enough:
        value = float(compute(np.ones((1, len(seen))))[0])
        few = f"at no strength were {ground.limits.robustness.events} positive and as many negative patients answered"
        return Figure(value, None, "", len(seen), len(seen), events, few)
    nothing = "a strength has only one class"
    return resample.figure("roc_auc_lost", compute, keys[seen], events, nothing, ground.replicates, ground.seed)


def _findings(ground: Ground, everyday: Sequence[Tried], name: str, limit: float | None) -> list[Finding]:
    """One finding a corruption; of those whose interval lies beyond the limit only what stands Holm's correction fails.

    To pass, each has to lie below the limit by its own interval: for that nothing has to be corrected.
    """
    figures = [_judgeable(ground, one.lost, name) for one in everyday]
    p = [
        float("nan") if limit is None else p_beyond(figure, limit, _behind(one.lost, name))
        for one, figure in zip(everyday, figures, strict=True)
    ]
    made = []
    for one, figure, adjusted in zip(everyday, figures, holm(p), strict=True):
        told = _evidence(one, name)
        found = finding(f"robustness/{one.corruption.name}/{name}", figure, limit, told)
        if found.verdict == "fail" and not adjusted < _LEVEL:
            more = (
                f"{told} Its interval lies beyond the limit, but not for certain once it is counted that "
                f"{len(everyday)} corruptions were looked at (Holm)."
            )
            found = replace(found, verdict="cannot tell", evidence=more)
        made.append(found)
    return made


def _judgeable(ground: Ground, lost: Losses, name: str) -> Figure:
    """The figure, without its interval where too few patients stand behind it."""
    figure = lost.figures[name]
    few = _too_few(ground, lost, name)
    return replace(figure, interval=None, reason=few) if few else figure


def _too_few(ground: Ground, lost: Losses, name: str) -> str:
    wanted = ground.limits.robustness.events
    if name == "sensitivity":
        return f"{lost.positives} positive patients, and {wanted} are needed" if lost.positives < wanted else ""
    if min(lost.positives, lost.negatives) >= wanted:
        return ""
    return f"{lost.positives} positive and {lost.negatives} negative patients, and {wanted} of each are needed"


def _behind(lost: Losses, name: str) -> int:
    """Patients whose number, less one, is the degrees of freedom of the figure's interval."""
    return max(2, lost.positives if name == "sensitivity" else min(lost.positives, lost.negatives))


def _evidence(one: Tried, name: str) -> str:
    lost = one.lost
    told = f"{one.corruption.title} of everyday strength ({one.strength}), {lost.positives + lost.negatives} patients."
    if name == "roc_auc" and np.isfinite(lost.areas).all():
        told += f" ROC-AUC {lost.areas[0]:.3f} before, {lost.areas[1]:.3f} after."
    if one.refused.events:
        told += f" {one.refused.events} of {one.refused.n} scans were refused, which is no loss here."
    return told


def _worst(tried: Sequence[Tried]) -> str:
    known = [one for one in tried if np.isfinite(one.lost.figures["roc_auc"].value)]
    if not known:
        return "Nothing could be measured."
    said = []
    for among, when in ((known, "of all"), ([one for one in known if one.everyday], "at everyday strength")):
        if among:
            most = max(among, key=lambda one: one.lost.figures["roc_auc"].value)
            value = most.lost.figures["roc_auc"].value
            said.append(f"{value:.3f} by {most.corruption.name} ({most.strength}) {when}")
    return f"Most is lost: {', '.join(said)}."


def _row(one: Tried) -> tuple[str | int | float | Figure | None, ...]:
    figures = one.lost.figures
    lost = [figures[n] for n in ("roc_auc", "sensitivity", "specificity", "accuracy", "confidence", "brier")]
    area = one.lost.areas[1]
    return (
        f"{one.corruption.title} ({one.corruption.name})",
        f"{one.grade}{' *' if one.everyday else ''}",
        one.strength,
        one.lost.positives + one.lost.negatives,
        area if np.isfinite(area) else None,
        *lost,
        one.refused,
    )


def _chart(corruption: Corruption, tried: Sequence[Tried]) -> Chart:
    lines = {}
    for name, word in _WORDS.items():
        points = [(corruption.strength(one.grade), one.lost.figures[name]) for one in tried]
        lines[word] = tuple(
            (x, f.value, *(f.interval or (f.value, f.value))) for x, f in points if np.isfinite(f.value)
        )
    return Chart(f"{corruption.title} ({corruption.name})", corruption.unit, "lost", lines)


def _corruptions(tried: Sequence[Tried]) -> list[Corruption]:
    return list({one.corruption.name: one.corruption for one in tried}.values())


def _notes(ground: Ground, everyday: Sequence[Tried], looked_at: int) -> tuple[str, ...]:
    total = len(ground.patients.keys)
    notes = [
        f"{len(everyday)} corruptions suit these scans. A loss fails where its 95% interval lies beyond the limit and "
        "still does so once their number is counted (Holm's correction of one-sided p-values); it passes where its own "
        "interval lies below the limit.",
        "A scan that the model's own checks refuse when it is disturbed gives no answer, so it is no loss; how many "
        "were refused stands in the table.",
    ]
    if looked_at < total:
        notes.append(
            f"{looked_at} of {total} patients were looked at, as many positive as negative where there are enough: "
            "accuracy, confidence and Brier score are of that mixture."
        )
    return tuple(notes)
