"""What trivial models say of the model beside them, in words that hold whichever of them is ahead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from insula.evaluate.evidence import TrivialModel
from insula.metrics.intervals import Figure

Standing = Literal["above", "level", "below", "open"]
_CHANCE = 0.5


def standing(difference: Figure) -> Standing:
    """Where the model stands by its difference to another: above or below where the 95% interval is clear of 0.

    The ends count as they are shown, with three decimals, so that an interval from 0.000 on is not clear of 0. level:
    it reaches 0, or both order the patients alike. open: there is no interval.
    """
    if difference.interval is None:
        return "level" if abs(difference.value) < 1e-12 else "open"
    low, high = (round(end, 3) for end in difference.interval)
    if low > 0:
        return "above"
    return "below" if high < 0 else "level"


def sentence(models: Sequence[TrivialModel], roc_auc: Figure) -> str:
    """Every trivial model against the model with this ROC-AUC: what it is above, not told from, below; and chance."""
    if not models:
        return "No trivial model could be fitted: nothing varies over the training cases."
    if not math.isfinite(roc_auc.value) or not all(math.isfinite(m.roc_auc.value) for m in models):
        why = roc_auc.reason or "the test patients do not hold both positives and negatives"
        return f"The model cannot be held against trivial ones, since their ROC-AUC is not defined here: {why}."
    of: dict[Standing, list[TrivialModel]] = {"above": [], "level": [], "below": [], "open": []}
    for one in sorted(models, key=lambda m: -m.roc_auc.value):
        of[standing(one.difference)].append(one)
    parts = [_below(of["below"], roc_auc), _level(of["level"], roc_auc), _above(of["above"], len(models), roc_auc)]
    parts += [_open(one) for one in of["open"]]
    return " ".join(part for part in (*parts, _chance(models, roc_auc)) if part)


def _below(models: Sequence[TrivialModel], roc_auc: Figure) -> str:
    if not models:
        return ""
    return (
        f"With a ROC-AUC of {roc_auc.value:.3f} the model does worse than {_those(models)}. A model that sees no "
        "disease orders these patients better."
    )


def _level(models: Sequence[TrivialModel], roc_auc: Figure) -> str:
    if not models:
        return ""
    return (
        f"The model's ROC-AUC of {roc_auc.value:.3f} cannot be told from that of {_those(models)}: it may rest on no "
        "more than that."
    )


def _above(models: Sequence[TrivialModel], count: int, roc_auc: Figure) -> str:
    if not models:
        return ""
    every = len(models) == count
    whom = f"every trivial model ({_told(models)})" if every else _those(models)
    text = f"The model's ROC-AUC of {roc_auc.value:.3f} is above that of {whom}"
    text += "; the 95% interval of each difference is clear of 0." if every and count > 1 else "."
    if every and max(m.roc_auc.value for m in models) <= _CHANCE:
        text += " None of these is better than chance here, so that this says no more than a comparison with 0.5."
    return text


def _open(one: TrivialModel) -> str:
    return (
        f"Against the model that sees only {one.title} (ROC-AUC {one.roc_auc.value:.3f}) there is no interval: "
        f"{one.difference.reason}."
    )


def _chance(models: Sequence[TrivialModel], roc_auc: Figure) -> str:
    if roc_auc.interval is None or roc_auc.interval[0] > _CHANCE:
        return ""
    low, high = roc_auc.interval
    if high < _CHANCE:
        return f"The model itself lies below chance: its 95% interval of {low:.3f} to {high:.3f} is under 0.5."
    return f"The model's own 95% interval of {low:.3f} to {high:.3f} holds 0.5, which is chance."


def _those(models: Sequence[TrivialModel]) -> str:
    """The models by what they see, with their areas and the difference to the model."""
    shown = [f"{m.title} (ROC-AUC {m.roc_auc.value:.3f}; {_difference(m.difference)})" for m in models]
    return f"a model that sees only {' or only '.join(shown)}"


def _told(models: Sequence[TrivialModel]) -> str:
    return ", ".join(f"{m.name} {m.roc_auc.value:.3f}" for m in models)


def _difference(found: Figure) -> str:
    value = _signed(found.value)
    if found.interval is None:
        return f"difference {value}"
    return f"difference {value}, 95% interval {_signed(found.interval[0])} to {_signed(found.interval[1])}"


def _signed(value: float) -> str:
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", "−")
