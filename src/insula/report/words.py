"""Figures as people read them: names, numbers with intervals, shares, counts."""

from __future__ import annotations

import math

from insula.metrics.intervals import Figure

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
    "brier": "Brier score",
    "log_loss": "Log loss",
    "log_loss_balanced": "Log loss, classes weighted equally",
    "ece": "Calibration error (ECE)",
}
COVERAGE = {
    "accepted": "Accepted",
    "referred": "Referred to a person",
    "accuracy_of_all": "Accuracy, every case",
    "accuracy_of_accepted": "Accuracy, accepted cases",
    "sensitivity_of_accepted": "Sensitivity, accepted cases",
}
DOMAIN = {
    "beyond_limit": "Further from the training data than the policy allows",
    "beyond_median": "Further than half of the validation cases (half is expected)",
}
ORDER = (
    "roc_auc", "sensitivity", "specificity", "ppv", "npv", "accuracy", "f1", "f2", "pr_auc", "mcc", "kappa", "brier",
    "log_loss", "ece",
)  # fmt: skip
_SHARES = frozenset({"accuracy", "sensitivity", "specificity", "ppv", "npv", "share"})


def value(figure: Figure) -> str:
    """The figure with three decimals, or a dash where it is not defined."""
    return number(figure.value)


def number(x: float) -> str:
    """Three decimals with a true minus sign, or a dash."""
    return "–" if not math.isfinite(x) else f"{x:.3f}".replace("-", "−")


def interval(figure: Figure) -> str:
    """The ends of the interval, or why there is none."""
    if figure.interval is None:
        return figure.reason or "no interval"
    return f"{number(figure.interval[0])} to {number(figure.interval[1])}"


def basis(name: str, figure: Figure, unit: str) -> str:
    """What the figure rests on: events of n for a share, else n rows with their events."""
    if is_share(name):
        return f"{figure.events} of {figure.n} {unit}"
    return f"{figure.n} {unit}, {figure.events} positive"


def is_share(name: str) -> bool:
    """Whether the figure is events among n rows."""
    return name in _SHARES


def percent(x: float, digits: int = 1) -> str:
    """A share as a percentage, or a dash."""
    return "–" if not math.isfinite(x) else f"{100 * x:.{digits}f}%"
