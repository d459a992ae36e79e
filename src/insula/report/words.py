"""Figures as people read them: names, numbers with intervals, shares, counts. A figure is a mapping, as in the JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

Said = Mapping[str, Any]

NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV (in this cohort)",
    "npv": "NPV (in this cohort)",
    "f1": "F1",
    "f2": "F2",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC (average precision)",
    "mcc": "MCC",
    "kappa": "Cohen's kappa",
    "kappa_quadratic": "Kappa, quadratic weights",
    "brier": "Brier score (against the rest)",
    "log_loss": "Log loss (against the rest)",
    "log_loss_balanced": "Log loss, classes weighted equally",
    "ece": "Calibration error (ECE)",
    "c_index": "C-index (concordance)",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "bias": "Bias (mean error)",
    "pearson": "Pearson's correlation",
    "r2": "R²",
    "mean_steps": "Steps off, on average",
    "within_one": "Within one step",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept",
}
OVERALL = {
    "accuracy": "Accuracy, the very class",
    "brier": "Brier score, summed over all classes (0 to 2)",
    "log_loss": "Log loss, of the true class among all",
}
COVERAGE = {
    "accepted": "Accepted",
    "referred": "Referred to a person",
    "rejected": "Rejected as no such scan",
    "accuracy_of_all": "Accuracy, every case",
    "accuracy_of_accepted": "Accuracy, accepted cases",
    "sensitivity_of_accepted": "Sensitivity, accepted cases",
}
REASONS = {
    "confidence": "Confidence below its limit",
    "risk": "Confidence below where the risk is bounded",
    "risk_unbounded": "The risk could not be bounded",
    "spread": "Spread above its limit",
    "entropy": "Entropy above its limit",
    "mutual_information": "Mutual information above its limit",
    "domain": "Unlike the training scans",
    "distance": "Too unlike the training scans",
    "colour": "A picture in colour",
    "size": "Too few pixels",
    "aspect": "Too long or too wide",
    "body_part": "Another part of the body",
    "blank": "Blank",
    "saturated": "Black and white",
    "unsuitable_scan": "Not a scan that the recipe takes",
    "unreadable_scan": "Not a readable scan",
    "limit_exceeded": "Larger or slower than allowed",
}
DOMAIN = {
    "beyond_limit": "Further from the training data than the policy allows",
    "beyond_median": "Further than half of the validation cases (half is expected)",
}
ORDER = (
    "roc_auc", "sensitivity", "specificity", "ppv", "npv", "accuracy", "f1", "f2", "pr_auc", "mcc", "kappa", "brier",
    "log_loss", "ece", "calibration_slope", "calibration_intercept",
)  # fmt: skip
OUTCOMES = {
    "TP": "Found (true positive)",
    "FN": "Missed (false negative)",
    "FP": "False alarm (false positive)",
    "TN": "Rightly negative (true negative)",
}
_SHARES = frozenset({"accuracy", "within_one", "sensitivity", "specificity", "ppv", "npv", "share"})


def name(key: str) -> str:
    """What a figure, a share or a fact is called; one that has no name here is its own key in words."""
    label, _, figure = key.rpartition("/")
    known = NAMES.get(figure) or COVERAGE.get(key) or DOMAIN.get(key)
    said = known or figure.replace("_", " ").capitalize()
    return f"{said}, {label}" if label else said


def reason(kind: str) -> str:
    """What a kind of reason for a referral or rejection is called; one without a name here is the kind in words."""
    return REASONS.get(kind) or kind.replace("_", " ").capitalize()


def overall(key: str, kind: str) -> str:
    """What a figure over all classes is called, told apart from that of one class against the rest."""
    if kind == "multilabel" and key == "accuracy":
        return "Every label right"
    return OVERALL.get(key) or name(key)


def ordered(figures: Said) -> list[tuple[str, Said]]:
    """The figures of a class in the order in which they are shown; unknown ones last."""
    return [(k, figures[k]) for k in ORDER if k in figures] + [(k, f) for k, f in figures.items() if k not in ORDER]


def value(figure: Said) -> str:
    """The figure with three decimals, or a dash where it is not defined."""
    return number(figure["value"])


def number(x: float | None, digits: int = 3) -> str:
    """That many decimals with a true minus sign (none before a zero), or a dash."""
    if x is None or not math.isfinite(x):
        return "–"
    return f"{round(x, digits) + 0.0:.{digits}f}".replace("-", "−")


def interval(figure: Said) -> str:
    """The ends of the interval, or why there is none."""
    held = figure["interval"]
    if held is None:
        return figure["reason"] or "no interval"
    return f"{number(held[0])} to {number(held[1])}"


def basis(key: str, figure: Said, unit: str) -> str:
    """What the figure rests on: events of n for a share, else n rows with their events."""
    if is_share(key):
        return f"{figure['events']:,} of {figure['n']:,} {unit}"
    return f"{figure['n']:,} {unit}, {figure['events']:,} positive"


def is_share(key: str) -> bool:
    """Whether the figure is events among n rows."""
    return key in _SHARES


def percent(x: float | None, digits: int = 1) -> str:
    """A share as a percentage, or a dash."""
    return "–" if x is None or not math.isfinite(x) else f"{100 * x:.{digits}f}%"


def span(ends: Any, digits: int = 1) -> str:
    """Both ends of an interval of a share as percentages, or a dash."""
    return f"{percent(ends[0], digits)} to {percent(ends[1], digits)}" if ends else "–"


def ends(interval: Any, digits: int = 0) -> str:
    """Both ends of an interval of a share, short, for a narrow column."""
    return f"{100 * interval[0]:.{digits}f}–{100 * interval[1]:.{digits}f}%" if interval else "–"


def flat(value: Any) -> str:
    """Any fact of a record in one line: lists by commas, mappings as `name value`, absent ones as a dash."""
    if isinstance(value, Mapping):
        return ", ".join(f"{str(k).replace('_', ' ')} {flat(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(flat(v) for v in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    return "–" if value is None or value == "" else str(value)


def gathered(notes: Iterable[str]) -> list[str]:
    """Notes in their order, each kind once: of those that differ in numbers alone the first, and how many there are."""
    kinds: dict[str, list[str]] = {}
    for note in notes:
        kinds.setdefault(re.sub(r"\d+", "0", note), []).append(note)
    return [same[0] if len(same) == 1 else f"{same[0]} ({len(same):,} notes like this.)" for same in kinds.values()]


def chance(p: float | None) -> str:
    """A p-value with three decimals, or that it is below 0.001, or a dash."""
    return "< 0.001" if p is not None and p < 0.001 else number(p)


def primary(said: str) -> str:
    """The figure that a plan names first, by its name: `roc_auc of 'stroke' over patients`."""
    key, space, rest = said.partition(" ")
    return f"{NAMES.get(key, key)}{space}{rest}"


def moment(time: str) -> str:
    """A time of a record (ISO 8601, UTC) to the minute; any other text as it is."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?(?:\+00:00|Z)", time)
    return f"{found[1]} {found[2]} UTC" if found else time


def short(digest: str) -> str:
    """The first twelve digits of a hash; the whole one stands under Provenance. Any other text as it is."""
    return f"{digest[:12]}…" if re.fullmatch(r"[0-9a-f]{32,}", digest) else digest


def clause(text: str) -> str:
    """A text without the full stop at its end, to stand within a sentence."""
    return text.strip().rstrip(".")


def sentence(text: str) -> str:
    """A text as a sentence: a capital first, a full stop last unless it ends in one, a question or an exclamation."""
    bare = text.strip()
    if not bare:
        return ""
    return bare[0].upper() + bare[1:] + ("" if bare.endswith((".", "?", "!")) else ".")


def plural(count: int, one: str) -> str:
    """A count with its noun."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"
