"""The cases to look at: the worst errors and typical right answers, with the heat on the picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from insula.bundle.types import Bundle
from insula.core.errors import EvaluationError, InsulaError
from insula.core.types import Case, Cohort, FloatArray
from insula.evaluate.facts import answers
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import Predicts
from insula.evaluate.table import by_patient, sample
from insula.infer import heatmap
from insula.infer.overlay import overlay_png
from insula.infer.predict import Predictor
from insula.prep.run import prepare
from insula.scans.sandbox import read_files

OUTCOMES = ("TP", "FN", "FP", "TN")


@dataclass(frozen=True)
class GalleryItem:
    """One case with its picture: outcome TP, FN, FP or TN for the positive class, its probability, an overlay (PNG).

    Outcome and probability are those of the case. Where its patient has several, the caption says how many and what
    they come to together. png is empty where no picture could be made; the caption says why.
    """

    key: str
    outcome: str
    probability: float
    png: bytes
    caption: str


@dataclass(frozen=True)
class _Shown:
    """A picture with its heat (both empty where there is a reason for having none), and where on the scan it lies."""

    key: str
    outcome: str
    probability: float
    picture: FloatArray
    heat: FloatArray
    place: str
    reason: str = ""


def pick(report: EvaluationReport, each: int = 3) -> dict[str, tuple[str, ...]]:
    """Case keys by outcome: of errors those with the most extreme probability, of right answers those in the middle."""
    rows = sample(report.table, report.facts)
    k = report.facts.positive_index
    y, p, called = rows.y[:, k], rows.p[:, k], answers(rows.p, report.facts, rows.limits)[:, k]
    members = {"TP": y & called, "FN": y & ~called, "FP": ~y & called, "TN": ~y & ~called}
    chosen = {}
    for outcome in OUTCOMES:
        index = np.flatnonzero(members[outcome])
        index = index[np.lexsort((rows.keys[index], p[index]))]
        if outcome == "FN":
            index = index[:each]
        elif outcome == "FP":
            index = index[::-1][:each]
        else:
            start = max(0, (len(index) - each) // 2)
            index = index[start : start + each]
        chosen[outcome] = tuple(str(key) for key in rows.keys[index])
    return chosen


def gallery(
    report: EvaluationReport, bundle: Bundle, cohort: Cohort, each: int = 3, predictor: Predicts | None = None
) -> tuple[GalleryItem, ...]:
    """Pictures of the picked cases, on the slice with the most heat.

    The brightest colour of a picture is its own peak, but never less than the median peak of the true positives (of
    all shown where there is none), so that weak heat looks weak and one very hot case does not darken the others.
    A case whose picture cannot be made stays in the gallery without one, with the reason.
    """
    predictor = predictor or Predictor(bundle)
    cases = {case.key: case for case in cohort.cases}
    chances = dict(zip(report.table["case"].astype(str), report.table[f"p_{report.facts.positive}"], strict=True))
    shown = []
    for outcome, keys in pick(report, each).items():
        for key in keys:
            try:
                shown.append(_show(cases[key], outcome, report, bundle, Path(cohort.root), predictor))
            except (InsulaError, OSError, ValueError) as error:
                nothing = np.empty((0, 0), np.float32)
                shown.append(_Shown(key, outcome, float(chances[key]), nothing, nothing, "", _said(error)))
    floor = _floor(shown)
    pooled = _pooled(report)
    return tuple(_item(item, floor, report.facts.positive, pooled.get(item.key, "")) for item in shown)


def _pooled(report: EvaluationReport) -> dict[str, str]:
    """Case → what the cases of its patient come to, where there are several."""
    rows = sample(report.table, report.facts)
    patients = by_patient(rows, report.facts)[0]
    whole = dict(zip(patients.keys, patients.p[:, report.facts.positive_index], strict=True))
    counts = Counter(rows.patients)
    return {
        str(key): f"; all {counts[owner]} cases of the patient {whole[owner]:.2f}"
        for key, owner in zip(rows.keys, rows.patients, strict=True)
        if counts[owner] > 1
    }


def _item(shown: _Shown, floor: float, positive: str, pooled: str) -> GalleryItem:
    caption = f"{shown.key}, {shown.place}p({positive}) = {shown.probability:.2f}{pooled}"
    if shown.reason:
        return GalleryItem(shown.key, shown.outcome, shown.probability, b"", f"{caption}; no picture: {shown.reason}")
    png = overlay_png(shown.picture, shown.heat, max(floor, float(shown.heat.max())))
    return GalleryItem(shown.key, shown.outcome, shown.probability, png, caption)


def _show(
    case: Case, outcome: str, report: EvaluationReport, bundle: Bundle, root: Path, predictor: Predicts
) -> _Shown:
    k = report.facts.positive_index
    prediction = predictor.case(case, root, passes=0)
    if not prediction.heatmaps:
        raise EvaluationError("the prediction came without a heat map")
    # of several series or slides the one with the most heat: `ct`, `ct.2` and so on
    name = max(prediction.heatmaps, key=lambda scan: float(prediction.heatmaps[scan].array[k].max()))
    heat, section = prediction.heatmaps[name], bundle.recipe.inputs[name.partition(".")[0]]
    slices = prepare(read_files([root / path for path in case.scans[name].paths], tiles=section.tiles), section)
    s = int(heat.array[k].reshape(len(heat.slices), -1).max(axis=1).argmax())
    place = f"slice {heat.slices[s] + 1} of {len(slices)}, " if len(slices) > 1 else ""
    scan = f"{name}, " if len(prediction.heatmaps) > 1 else ""
    picture = heatmap.picture(slices[heat.slices[s]], heatmap.is_colour(section))
    return _Shown(case.key, outcome, float(prediction.probabilities[k]), picture, heat.array[k, s], scan + place)


def _floor(shown: Sequence[_Shown]) -> float:
    """The median peak of the true positives: what strong heat is in this cohort."""
    seen = [item for item in shown if not item.reason]
    peaks = [float(item.heat.max()) for item in seen if item.outcome == "TP"] or [float(i.heat.max()) for i in seen]
    return float(np.median(peaks)) if peaks else 0.0


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
