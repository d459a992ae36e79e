"""How far models come that cannot see the disease: metadata, the border, the outline of the head."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from insula.audit.ground import Ground
from insula.audit.part import Check, Part, Table
from insula.audit.verdict import finding
from insula.core.types import Finding
from insula.evaluate.evidence import TrivialModel
from insula.evaluate.trivial import TITLES

if TYPE_CHECKING:
    import pandas as pd

TITLE = "How far models come that do not see the disease"
MAY_SEE = ("thumbnail",)  # at 8 × 8 pixels a large lesion is still there, so that it proves no shortcut


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """The trivial models of the evaluation against the part of the model's own ROC-AUC that they may reach."""
    beside, own = ground.report.baselines, ground.report.positive.figures["roc_auc"]
    if beside is None:
        return Part("baselines", TITLE, (_silent("baselines", "no trivial models were asked for"),))
    limit = _limit(ground.limits.shortcuts.trivial, own.value)
    found = [_finding(one, limit) for one in beside.models if one.name not in MAY_SEE]
    found += [_silent(name, why) for name, why in beside.reasons.items() if name not in MAY_SEE]
    rows = tuple((one.title, one.method, ", ".join(one.inputs), one.roc_auc, one.difference) for one in beside.models)
    shown = Table(
        "ROC-AUC on the test patients, fitted on the training patients",
        ("sees", "fitted", "inputs", "ROC-AUC", "the model minus this"),
        rows,
        "The picture at 8 × 8 pixels may show a large lesion and is not judged.",
    )
    return Part("baselines", TITLE, tuple(found), (shown,) if rows else (), notes=(beside.sentence,))


def _limit(share: float | None, own: float) -> float | None:
    """The ROC-AUC at which a trivial model has so large a part of what the model reaches above chance."""
    if share is None or not math.isfinite(own):
        return None
    return 0.5 + share * max(own - 0.5, 0.0)


def _finding(one: TrivialModel, limit: float | None) -> Finding:
    what = f"A model that sees only {one.title} orders the test patients with a ROC-AUC of {one.roc_auc.value:.3f}."
    if one.name == "metadata":
        what += f" It was given {', '.join(one.inputs)}."
    return finding(f"baselines/{one.name}", one.roc_auc, limit, what)


def _silent(name: str, why: str) -> Finding:
    title = TITLES.get(name, name)
    return Finding(f"baselines/{name}", math.nan, None, math.nan, "cannot tell", f"{title}: {why}.")


CHECK = Check("baselines", TITLE, judge)
