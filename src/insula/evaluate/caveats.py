"""Notes on what is as it was computed and says little: a temperature at its bound, sets of all classes, two units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from insula.bundle.types import DecisionFacts
from insula.evaluate.facts import Facts
from insula.evaluate.sets import COLUMN
from insula.metrics.calibration import TEMPERATURES

if TYPE_CHECKING:
    import pandas as pd

_COLDEST, _HOTTEST = TEMPERATURES[0] * 1.02, TEMPERATURES[1] / 1.02  # as good as at the end of the search
_MANY = 0.5


def of_decision(decision: DecisionFacts, facts: Facts) -> list[str]:
    """What a bundle holds that was chosen at the end of its range: the temperature, a quantile that keeps a class."""
    notes = []
    t = decision.temperature
    if t > _HOTTEST:
        notes.append(
            f"The temperature ({t:.3g}) stands at the upper end of where it was looked for: on validation cases the "
            "network's answers were worth so little that they were flattened, and every probability lies near the same "
            "value. Do not read the probabilities as risks; look at training and at the validation cases."
        )
    elif t < _COLDEST:
        notes.append(
            f"The temperature ({t:.3g}) stands at the lower end of where it was looked for: nearly every probability "
            "is 0 or 1, and they say nothing of how sure an answer is."
        )
    always = [name for name, q in zip(facts.classes, decision.conformal, strict=False) if q >= 1.0]
    if always and facts.kind != "multilabel":
        notes.append(
            f"Every prediction set holds {' and '.join(always)}, whatever the scan: too few validation patients have "
            "that class for the promised coverage. Validate on more of them before sets are used."
        )
    return notes


def of_sets(table: pd.DataFrame, facts: Facts) -> list[str]:
    """A note where half of the prediction sets or more hold every class."""
    columns = [f"{COLUMN}{name}" for name in facts.classes]
    if facts.kind == "multilabel" or not set(columns) <= set(table.columns):
        return []
    full = int(table[columns].to_numpy(dtype=bool).all(axis=1).sum())
    if full < _MANY * len(table):
        return []
    return [
        f"{full} of {len(table)} prediction sets (one a case) hold every class and so rule nothing out; that they hold "
        "the truth is no merit. The model is too unsure, or the coverage promised too high, for sets to be of use."
    ]


def of_units(patients: ArrayLike) -> list[str]:
    """What is counted by what, where patients have several cases. patients: whose each case is."""
    owners = np.asarray(patients, dtype=str)
    people = len(np.unique(owners))
    if people == len(owners):
        return []
    return [
        f"The headline and the figures under it count {people} patients; policy, risk and coverage, prediction sets, "
        f"heat and lesion, readers and the gallery count {len(owners)} cases, of which a patient may have several."
    ]
