"""What is known of the model from an evaluation, and what an answer means by it at stated prevalences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from insula.metrics.intervals import Figure
from insula.metrics.prevalence import AtPrevalence, at_prevalence
from insula.report.case.record import Measured
from insula.report.record import Record

SHOWN = ("sensitivity", "specificity", "roc_auc", "brier", "ece")


def measured(record: Record, keys: Sequence[str] = SHOWN) -> tuple[Measured, ...]:
    """The figures of the positive class over patients, from the record of an evaluation (`report.json`).

    Left out are figures that are not defined there.
    """
    level = record["patient"]
    held = level["classes"][record["facts"]["positive"]]["figures"]
    found = []
    for key in keys:
        one = held.get(key)
        if one is not None and one["value"] is not None:
            span = tuple(one["interval"]) if one["interval"] else None
            found.append(Measured(key, one["value"], span, one["n"], one["events"], one["reason"]))
    return tuple(found)


def at_prevalences(figures: Iterable[Measured], prevalences: Iterable[float]) -> tuple[AtPrevalence, ...]:
    """One row for each prevalence (shares between 0 and 1), from sensitivity and specificity by Bayes' rule.

    None where either is missing among the figures or has no interval. See `metrics.prevalence`.
    """
    known = {one.key: one for one in figures}
    if "sensitivity" not in known or "specificity" not in known:
        return ()
    pair = _figure(known["sensitivity"]), _figure(known["specificity"])
    return tuple(row for share in prevalences if (row := at_prevalence(*pair, share)) is not None)


def _figure(one: Measured) -> Figure:
    return Figure(one.value, one.interval, "", one.n, one.n, one.events, one.reason)
