"""The bench's result as a page of Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from insula.metrics.intervals import clopper_pearson
from insula.workflows.bench.faults import CLEAN
from insula.workflows.bench.run import Tally
from insula.workflows.bench.situation import EPOCHS, FRACTIONS, KIND, PATIENTS, PIXELS, SLICES

NAMED, ALARMS = 0.9, 1 / 20


def page(tallies: Sequence[Tally], command: str) -> str:
    """Every fault with how often it was named, what else was said, and the clean control. command: that made it."""
    planted = [one for one in tallies if one.fault is not CLEAN]
    larger = [one.fault for one in planted if one.fault.patients > PATIENTS]
    clean = next((one for one in tallies if one.fault is CLEAN), None)
    train, val, test = (round(part * PATIENTS) for part in FRACTIONS)
    lines = [
        "# Does the audit find what is planted?",
        "",
        f"Written by `{command}`. Each row is a number of made cohorts with one planted fault:",
        f"`{KIND}` phantoms, {PATIENTS} patients ({train} to train on, {val} to choose by, {test} to test),",
        f"{SLICES} slices of {PIXELS}² pixels; a small network trained for {EPOCHS} epochs; then `insula check`,",
        "`leaks`, `evaluate` and `audit`, all but robustness, which no fault here concerns. A fault is *named* where",
        "a finding of its own kind fails; what else fails beside it is listed. Intervals: Clopper and Pearson, 95%.",
        *(f"The cohorts of `{fault.name}` have {fault.patients} patients." for fault in larger),
        "",
        "| fault | what | named by | found | missed | also said (cohorts) | mean ROC-AUC |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(one) for one in planted]
    if clean is not None and clean.n:
        low, high = clopper_pearson(clean.named, clean.n)
        what = "; ".join(f"`{name}` ({count})" for name, count in sorted(clean.others.items())) or "nothing"
        lines += [
            "",
            "## Clean cohorts",
            "",
            f"{clean.n} cohorts without a fault, mean ROC-AUC {clean.roc_auc:.3f}: false alarms in {clean.named} "
            f"({100 * clean.named / clean.n:.0f}%, {100 * low:.0f} to {100 * high:.0f}%). What was said: {what}.",
        ]
    lines += ["", _verdict(planted, clean), ""]
    return "\n".join(lines)


def holds(tallies: Sequence[Tally]) -> bool:
    """Whether every fault was named in nine cohorts of ten, and at most one clean cohort in twenty gave an alarm."""
    for one in tallies:
        if one.n == 0:
            return False
        if one.fault is CLEAN and one.named > ALARMS * one.n:
            return False
        if one.fault is not CLEAN and one.named < NAMED * one.n:
            return False
    return bool(tallies)


def _row(one: Tally) -> str:
    if not one.n:
        return f"| {one.fault.name} | {one.fault.title} | | not run | | | |"
    low, high = clopper_pearson(one.named, one.n)
    also = "; ".join(f"`{name}` ({count})" for name, count in sorted(one.others.items(), key=lambda o: -o[1]))
    found = f"{one.named} of {one.n} ({100 * low:.0f} to {100 * high:.0f}%)"
    if one.without:
        found += f"; without effect in {one.without} more"
    named = ", ".join(f"`{name}`" for name in one.fault.names)
    auc = "" if math.isnan(one.roc_auc) else f"{one.roc_auc:.3f}"
    return f"| {one.fault.name} | {one.fault.title} | {named} | {found} | {one.n - one.named} | {also} | {auc} |"


def _verdict(planted: Sequence[Tally], clean: Tally | None) -> str:
    weak = [one.fault.name for one in planted if one.n and one.named < NAMED * one.n]
    said = (
        f"Named in fewer than nine of ten cohorts: {', '.join(weak)}."
        if weak
        else "Every fault was named in at least nine of ten cohorts."
    )
    if clean is None or not clean.n:
        return said
    within = clean.named <= ALARMS * clean.n
    return f"{said} False alarms on clean cohorts stayed {'within' if within else 'above'} one in twenty."
