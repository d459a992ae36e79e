"""Two models on the same cases: every main figure's difference, corrected for their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from insula.core.errors import EvaluationError
from insula.evaluate.comparison import Compared, ComparisonReport, Side
from insula.evaluate.evidence import Guard, Looks
from insula.evaluate.facts import Bools, Facts, Floats, answers
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import REPLICATES
from insula.evaluate.table import Sample, by_patient, sample
from insula.metrics import classification as cl
from insula.metrics import compare as tests
from insula.metrics.probabilities import exclusive

if TYPE_CHECKING:
    import pandas as pd

HIGHER = {
    "roc_auc": True,
    "pr_auc": True,
    "sensitivity": True,
    "specificity": True,
    "ppv": True,
    "npv": True,
    "accuracy": True,
    "f1": True,
    "mcc": True,
    "brier": False,
    "log_loss": False,
}


@dataclass(frozen=True, eq=False)
class Entry:
    """One of the two: its table of predictions with the facts by which it is judged, and what its guards say."""

    name: str
    model: str
    table: pd.DataFrame
    facts: Facts
    guards: tuple[Guard, ...] = ()
    optimistic: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Rows:
    """One model over the patients: labels y, probabilities p, answers called, (n,) each, of the positive class."""

    y: Bools
    p: Floats
    called: Bools


def compare(
    first: Entry,
    second: Entry,
    replicates: int = REPLICATES,
    looks: Looks | None = None,
    source: Mapping[str, Any] | None = None,
) -> ComparisonReport:
    """The two models over the patients whose cases both predicted, each at its own threshold.

    ROC-AUC by DeLong's test, everything else by the paired bootstrap over patients, McNemar's test on right and wrong
    answers; all p-values are corrected together (Holm). Raises EvaluationError when the two answer different questions,
    share no case, or give a case two labels.
    """
    notes = _same_question(first, second)
    a, b, shared = _aligned(first, second, notes)
    one, other = _pooled(a, first.facts), _pooled(b, second.facts)
    k = (first.facts.positive_index, second.facts.positive_index)
    left, right = _rows(one, first.facts, k[0]), _rows(other, second.facts, k[1])
    found = [_test(name, left, right, one.keys, replicates, first.facts.seed) for name in HIGHER]
    discordance = tests.mcnemar(left.called == left.y, right.called == right.y)
    adjusted = tests.holm([*(f.p_value for f in found), discordance.p_value])
    rows = tuple(Compared(name, f, p, HIGHER[name]) for name, f, p in zip(HIGHER, found, adjusted[:-1], strict=True))
    return ComparisonReport(
        facts=first.facts,
        first=_side(first, left),
        second=_side(second, right),
        headline=_headline(first, second, rows[0], len(one.keys)),
        cases=shared,
        patients=len(one.keys),
        positives=int(left.y.sum()),
        replicates=replicates,
        tests=rows,
        mcnemar=discordance,
        mcnemar_adjusted=adjusted[-1],
        looks=looks,
        notes=tuple(notes),
        source=dict(source or {}),
    )


def aligned_rows(entries: Sequence[Entry]) -> tuple[list[_Rows], list[str]]:
    """Labels, probabilities and answers of each model over the patients whose cases all of them predicted, and notes.

    Raises EvaluationError as `compare` does.
    """
    first, notes = entries[0], list[str]()
    keys = set(first.table["case"])
    for entry in entries[1:]:
        notes += _same_question(first, entry)
        keys &= set(entry.table["case"])
    shared = [replace(entry, table=entry.table[entry.table["case"].isin(keys)]) for entry in entries]
    for entry, kept in zip(entries, shared, strict=True):
        if len(kept.table) < len(entry.table):
            notes.append(
                f"{len(entry.table) - len(kept.table)} cases of {entry.name} were not predicted by all others."
            )
    found = []
    for entry in shared:
        _, rows, _ = _aligned(shared[0], entry, notes)
        found.append(_rows(_pooled(rows, entry.facts), entry.facts, entry.facts.positive_index))
    return found, notes


def _same_question(first: Entry, second: Entry) -> list[str]:
    a, b = first.facts, second.facts
    if a.positive != b.positive:
        raise EvaluationError(
            f"{first.name} is about '{a.positive}' and {second.name} about '{b.positive}'; only models of one question "
            "can be compared."
        )
    notes = []
    if set(a.classes) != set(b.classes):
        notes.append(f"The classes differ: {', '.join(a.classes)} and {', '.join(b.classes)}.")
    if a.aggregate != b.aggregate:
        notes.append(f"A pools cases to patients by {a.aggregate}, B by {b.aggregate}: each as its own policy says.")
    return notes


def _aligned(first: Entry, second: Entry, notes: list[str]) -> tuple[Sample, Sample, int]:
    """The rows of the cases that both predicted, in one order, checked for one label and one patient each."""
    left, right = (entry.table.set_index("case", drop=False) for entry in (first, second))
    shared = [key for key in left.index if key in right.index]
    if not shared:
        raise EvaluationError(f"{first.name} and {second.name} have no case in common; compare them on the same cases.")
    for entry, table in ((first, left), (second, right)):
        if len(shared) < len(table):
            notes.append(f"{len(table) - len(shared)} cases of {entry.name} were not predicted by the other.")
    a = sample(left.loc[shared].reset_index(drop=True), first.facts)
    b = sample(right.loc[shared].reset_index(drop=True), second.facts)
    differ = a.y[:, first.facts.positive_index] != b.y[:, second.facts.positive_index]
    if differ.any():
        raise EvaluationError(
            f"{int(differ.sum())} cases have two labels, the first '{a.keys[differ][0]}'; both tables must hold one."
        )
    if (a.patients != b.patients).any():
        key = a.keys[a.patients != b.patients][0]
        raise EvaluationError(f"Case '{key}' is of another patient in each of the two; correct one of them.")
    return a, b, len(shared)


def _pooled(rows: Sample, facts: Facts) -> Sample:
    return by_patient(rows, facts)[0]


def _rows(rows: Sample, facts: Facts, k: int) -> _Rows:
    return _Rows(rows.y[:, k], rows.p[:, k], answers(rows.p, facts, rows.limits)[:, k])


def _test(name: str, a: _Rows, b: _Rows, patients: np.ndarray, replicates: int, seed: int) -> tests.Comparison:
    if name == "roc_auc":
        return tests.delong(a.y, a.p, b.p)
    of_a, of_b = _figure(name, a), _figure(name, b)
    return tests.paired_bootstrap(of_a, of_b, patients, int(a.y.sum()), replicates, seed)


def _figure(name: str, rows: _Rows) -> Callable[[Floats], Floats]:
    if name == "pr_auc":
        return lambda w: cl.average_precision(rows.y, rows.p, w)
    if name == "brier":
        return lambda w: cl.brier(rows.y, rows.p, w)
    if name == "log_loss":
        return lambda w: cl.log_loss(rows.y, rows.p, w)
    return lambda w: cl.table_figures(cl.counts(rows.y, rows.called, w))[name]


def _side(entry: Entry, rows: _Rows) -> Side:
    roc = None
    if rows.y.any() and not rows.y.all():
        x, t = cl.roc_curve(rows.y, rows.p, cl.once(len(rows.y)))
        roc = (tuple(x[0].tolist()), tuple(t[0].tolist()))
    limits = entry.facts.classes if not exclusive(entry.facts.kind) else (entry.facts.positive,)
    thresholds = {name: entry.facts.threshold(name) for name in limits}
    return Side(entry.name, entry.model, thresholds, roc, entry.optimistic, entry.guards)


def _headline(first: Entry, second: Entry, area: Compared, patients: int) -> str:
    reasons = [f"of {side}, {reason}" for side, entry in (("A", first), ("B", second)) for reason in entry.optimistic]
    if reasons:
        return f"Optimistic: {'; '.join(reasons)}."
    found = area.found
    gap = found.difference
    if not np.isfinite(gap.value):
        return f"{first.facts.positive}: the ROC-AUCs are not defined ({gap.reason})."
    values = f"ROC-AUC A {found.first:.3f}, B {found.second:.3f}, difference {gap.value:+.3f}"
    if gap.interval is None:
        return f"{first.facts.positive}: {values} (no interval: {gap.reason}); {patients} patients."
    ends = f"95% interval {gap.interval[0]:+.3f} to {gap.interval[1]:+.3f}"
    p = "p < 0.001" if area.adjusted < 0.001 else f"p {area.adjusted:.3f}"
    return f"{first.facts.positive}: {values} ({ends}, {p} after Holm); {patients} patients."


def names(first: Path, second: Path) -> tuple[str, str]:
    """Short names that tell two paths apart: the last part, or as many more as are needed."""
    a, b = first.resolve().parts, second.resolve().parts
    for count in range(1, max(len(a), len(b)) + 1):
        if a[-count:] != b[-count:]:
            return "/".join(a[-count:]), "/".join(b[-count:])
    return str(first), str(second)


def of_report(name: str, report: EvaluationReport) -> Entry:
    """An evaluated model as one side of a comparison."""
    model = str(report.source.get("bundle") or report.source.get("sha256", ""))
    return Entry(name, model, report.table, report.facts, report.guards, report.optimistic)
