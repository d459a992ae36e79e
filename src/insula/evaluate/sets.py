"""Prediction sets on judged cases: how often they hold the truth, class by class, and how much they narrow down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import betabinom

from insula.core.errors import EvaluationError
from insula.evaluate.facts import Facts
from insula.evaluate.table import Sample
from insula.metrics import proportion, resample
from insula.metrics.intervals import Figure
from insula.metrics.probabilities import exclusive

if TYPE_CHECKING:
    import pandas as pd

COLUMN = "set_"


@dataclass(frozen=True)
class Sets:
    """What the prediction sets of the judged rows are worth.

    level: the share promised per class. of_class: of the rows with the class, those whose set holds it. any_class: of
    all rows, those whose set holds every class that is present. size: classes in a set, on average. empty, single,
    full: shares of sets with no, one and every class. single_right: of sets with one class, those in which it is
    present. short: classes whose coverage is further below the level than chance explains; see `falls_short`.
    """

    level: float
    of_class: Mapping[str, Figure]
    any_class: Figure
    size: Figure
    empty: Figure
    single: Figure
    full: Figure
    single_right: Figure
    short: tuple[str, ...]


def of_table(
    table: pd.DataFrame,
    rows: Sample,
    facts: Facts,
    level: float,
    calibrated: Sequence[int] | None = None,
    replicates: int = 2000,
) -> Sets | None:
    """The sets of a table with columns `set_<class>` (bool), row by row; None where it has none.

    Raises EvaluationError where the columns of some classes are missing.
    """
    found = [f"{COLUMN}{name}" in table.columns for name in facts.classes]
    if not any(found):
        return None
    if not all(found):
        missing = facts.classes[found.index(False)]
        raise EvaluationError(
            f"The table of predictions has no column '{COLUMN}{missing}', though it has those of other classes; "
            "predict the cases again."
        )
    inside = table[[f"{COLUMN}{name}" for name in facts.classes]].to_numpy(dtype=bool)
    return judge(inside, rows.y, rows.patients, facts, level, calibrated, replicates)


def judge(
    inside: ArrayLike,
    y: ArrayLike,
    patients: ArrayLike,
    facts: Facts,
    level: float,
    calibrated: Sequence[int] | None = None,
    replicates: int = 2000,
) -> Sets:
    """Coverage per class and size of sets, each with its interval over patients.

    inside, y: (n, K) bool, which classes are in a row's set and which are present. patients: (n,). calibrated: the
    validation patients of each class that its quantile rests on; without them no class is said to fall short.
    Raises EvaluationError for tables that do not fit.
    """
    kept, true, owners = np.asarray(inside, bool), np.asarray(y, bool), np.asarray(patients)
    if kept.ndim != 2 or kept.shape != true.shape or kept.shape != (len(owners), len(facts.classes)):
        raise EvaluationError(
            f"Sets {kept.shape}, labels {true.shape} and {len(owners)} patients do not belong together; all need one "
            f"row a case and {len(facts.classes)} classes."
        )
    whole, size = np.ones(len(kept), bool), kept.sum(axis=1)
    of_class = {
        name: proportion.figure(kept[:, k], true[:, k], owners, f"no case is {name}")
        for k, name in enumerate(facts.classes)
    }
    one = size == 1
    labelled = true.any(axis=1) if not exclusive(facts.kind) else whole
    return Sets(
        level=level,
        of_class=of_class,
        any_class=proportion.figure((kept | ~true).all(axis=1), labelled, owners, "no case has a class"),
        size=resample.figure(
            "set_size",
            lambda w: (w @ size) / w.sum(axis=1),
            owners,
            int(size.sum()),
            "no case",
            replicates,
            facts.seed,
        ),
        empty=proportion.figure(size == 0, whole, owners, "no case"),
        single=proportion.figure(one, whole, owners, "no case"),
        full=proportion.figure(size == kept.shape[1], whole, owners, "no case"),
        single_right=proportion.figure((kept & true).any(axis=1), one, owners, "no set holds one class alone"),
        short=()
        if calibrated is None
        else tuple(
            name
            for (name, f), m in zip(of_class.items(), calibrated, strict=True)
            if falls_short(f, m, level, 0.025 / len(of_class))
        ),
    )


def falls_short(coverage: Figure, calibrated: int, level: float, chance: float = 0.025) -> bool:
    """Whether a class's coverage is lower than what `chance` explains, for `calibrated` validation cases of the class.

    Both samples vary: of n new cases the number that is covered is beta-binomial with r and m + 1 - r, r = ⌈(m + 1) ·
    level⌉ (Angelopoulos and Bates 2021, appendix C), if they are like the m validation cases. Rows of one patient count
    once, by their mean.
    """
    rank = math.ceil((calibrated + 1) * level - 1e-9)
    if coverage.patients == 0:
        return False
    if rank > calibrated:
        return coverage.value < 1.0  # the class stands in every set
    covered = math.floor(coverage.value * coverage.patients + 0.5)
    return bool(betabinom.cdf(covered, coverage.patients, rank, calibrated + 1 - rank) < chance)
