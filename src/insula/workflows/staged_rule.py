"""How stages of an audit are held against each other on the same patients, and how one of them is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from insula.core.recipe import OperatingPoint
from insula.evaluate.facts import Facts, answers
from insula.evaluate.table import by_patient, sample
from insula.metrics import classification as cl
from insula.metrics import intervals
from insula.metrics.compare import Comparison, Discordance, holm, mcnemar, paired_bootstrap
from insula.metrics.intervals import Figure
from insula.metrics.resample import figure

Values = NDArray[np.float64]
Bools = NDArray[np.bool_]
Compute = Callable[[Values], Values]
PRIMARIES: Mapping[str, str] = {
    "f2": "F2",
    "youden": "sensitivity + specificity − 1",
    "specificity": "specificity",
    "sensitivity": "sensitivity",
    "ppv": "precision",
    "cost": "mean cost of a patient",
}
TIE = (
    "Of the candidates whose distance to the best, over the same patients, is at most one standard error of that "
    "distance (bootstrap over patients), the earliest in the order of the stages is chosen."
)


@dataclass(frozen=True)
class Answered:
    """Patients in the order of their keys (n,): truth, probability and answer, all of the positive class."""

    keys: NDArray[np.str_]
    y: Bools
    p: Values
    called: Bools

    def only(self, keys: Sequence[str]) -> Answered:
        """These patients alone."""
        kept = np.isin(self.keys, list(keys))
        return Answered(self.keys[kept], self.y[kept], self.p[kept], self.called[kept])


@dataclass(frozen=True)
class Change:
    """A stage held against an earlier one on the patients that both answered.

    found, alarms: McNemar's test among positives and negatives; `only_first` counts who is right in this stage alone.
    sensitivity, specificity, ppv: this stage minus the earlier one. adjusted: p-values after Holm, by name.
    """

    before: str
    patients: int
    found: Discordance
    alarms: Discordance
    sensitivity: Comparison
    specificity: Comparison
    ppv: Comparison
    adjusted: Mapping[str, float]


@dataclass(frozen=True)
class Judged:
    """A candidate as the rule sees it. failed: names of the findings of its audit that failed."""

    name: str
    answered: Answered
    failed: frozenset[str]


@dataclass(frozen=True)
class Standing:
    """What the rule says of one candidate.

    behind: how far its primary figure lies behind that of the best one; error: the standard error of that distance.
    new: failed findings that the baseline does not have, for which it is left out.
    """

    name: str
    value: float
    behind: float
    error: float
    new: tuple[str, ...]
    tied: bool


def answered(table: pd.DataFrame, facts: Facts) -> Answered:
    """One row a patient from a table of predictions."""
    rows, _ = by_patient(sample(table, facts), facts)
    k = facts.positive_index
    return Answered(rows.keys, rows.y[:, k], rows.p[:, k], answers(rows.p, facts, rows.limits)[:, k])


def of_point(point: OperatingPoint) -> str:
    """The figure that an operating point leaves to be gained: where it fixes one rate, the other."""
    if point.sensitivity is not None:
        return "specificity"
    if point.specificity is not None:
        return "sensitivity"
    if point.cost is not None:
        return "cost"
    return "f2" if point.f2 else "youden"


def said(primary: str, point: OperatingPoint) -> str:
    """The rule as a sentence."""
    aim = f" ({point.cost:g} for a missed patient, 1 for a false alarm)" if primary == "cost" else ""
    word = "lowest" if primary == "cost" else "highest"
    return (
        f"The candidate with the {word} {PRIMARIES[primary]}{aim} over the validation patients, each at the threshold "
        "that the recipe's operating point gives it, among those whose audit has no failed finding that the baseline's "
        "does not have."
    )


def compute(primary: str, rows: Answered, point: OperatingPoint) -> Compute:
    """The primary figure of replicates, weights (R, n) → (R,)."""
    cells = cl.cells(rows.y, rows.called)

    def value(weights: Values) -> Values:
        counts = cl.of_cells(weights @ cells)
        if primary == "cost":
            return cl.ratio((point.cost or 1.0) * counts.fn + counts.fp, weights.sum(axis=1))
        found = cl.table_figures(counts)
        if primary == "youden":
            return np.asarray(found["sensitivity"] + found["specificity"] - 1.0)
        return found[primary]

    return value


def primary_figure(primary: str, rows: Answered, point: OperatingPoint, replicates: int, seed: int) -> Figure:
    """The primary figure with its interval."""
    y = rows.y
    rarest = int(min(y.sum(), (~y).sum()))
    nothing = "the patients or the answers do not define it"
    return figure(
        primary, compute(primary, rows, point), rows.keys, int(y.sum()), nothing, replicates, seed, rarest=rarest
    )


def change(now: Answered, earlier: Answered, before: str, replicates: int, seed: int) -> Change:
    """A stage against an earlier one; its p-values are not corrected yet."""
    both = np.intersect1d(now.keys, earlier.keys).tolist()
    now, earlier = now.only(both), earlier.only(both)
    y, events = now.y, int(now.y.sum())

    def compared(name: str) -> Comparison:
        first, second = (_plain(name, rows) for rows in (now, earlier))
        return paired_bootstrap(first, second, now.keys, events, replicates, seed)

    found, alarms = _among(now, earlier, y), _among(now, earlier, ~y)
    adjusted = {"sensitivity": found.p_value, "specificity": alarms.p_value}
    shares = (compared("sensitivity"), compared("specificity"), compared("ppv"))
    return Change(before, len(both), found, alarms, *shares, adjusted | {"ppv": shares[2].p_value})


def corrected(changes: Mapping[str, Change]) -> dict[str, Change]:
    """The same changes with the p-values of all of them together corrected after Holm."""
    names = [(stage, key) for stage, one in changes.items() for key in one.adjusted]
    levels = dict(zip(names, holm([changes[stage].adjusted[key] for stage, key in names]), strict=True))
    return {
        stage: Change(
            **{k: v for k, v in vars(one).items() if k != "adjusted"},
            adjusted={key: levels[stage, key] for key in one.adjusted},
        )
        for stage, one in changes.items()
    }


def standings(
    judged: Sequence[Judged], primary: str, point: OperatingPoint, replicates: int, seed: int
) -> tuple[Standing, ...]:
    """What the rule says of each candidate; the first one is the baseline, and the order is that of the stages.

    Only patients that all candidates answered count. The first that is tied is the one that is chosen.
    """
    keys = sorted(set.intersection(*(set(one.answered.keys.tolist()) for one in judged)))
    sign = -1.0 if primary == "cost" else 1.0
    computes = [compute(primary, one.answered.only(keys), point) for one in judged]
    whole = np.ones((1, len(keys)))
    values = [float(c(whole)[0]) for c in computes]
    spread = [np.concatenate([c(w) for w in intervals.replicates(keys, replicates, seed)]) for c in computes]
    new = [tuple(sorted(one.failed - judged[0].failed)) for one in judged]
    open_ = [i for i, value in enumerate(values) if not new[i] and np.isfinite(value)]
    best = max(open_, key=lambda i: sign * values[i], default=0)
    found = []
    for i, one in enumerate(judged):
        gaps = sign * (spread[best] - spread[i])
        gaps = gaps[np.isfinite(gaps)]
        error = float(gaps.std() * np.sqrt(len(keys) / max(len(keys) - 1, 1))) if len(gaps) else float("nan")
        behind = sign * (values[best] - values[i])
        tied = i in open_ and behind <= error + 1e-12
        found.append(Standing(one.name, values[i], behind, error, new[i], tied))
    return tuple(found)


def chosen(found: Sequence[Standing]) -> str:
    """The name that the rule gives; the baseline where no candidate has a figure."""
    return next((one.name for one in found if one.tied), found[0].name)


def _plain(name: str, rows: Answered) -> Compute:
    cells = cl.cells(rows.y, rows.called)
    return lambda w: cl.table_figures(cl.of_cells(w @ cells))[name]


def _among(now: Answered, earlier: Answered, rows: Bools) -> Discordance:
    """McNemar's test among some patients; without any there is nothing to be found."""
    if not rows.any():
        return Discordance(0, 0, float("nan"), "McNemar, exact")
    return mcnemar((now.called == now.y)[rows], (earlier.called == earlier.y)[rows])
