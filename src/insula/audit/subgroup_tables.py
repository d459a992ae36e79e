"""What stands beside the findings of the subgroups: every figure by group, gaps between groups, the threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insula.audit.groups import Bools, Column, Group
from insula.audit.part import Cell, Table
from insula.audit.subgroup_findings import FEW, FIGURES, TITLES, Answers, Compared, few, rate
from insula.core.errors import EvaluationError
from insula.core.recipe_policy import OperatingPoint
from insula.metrics import calibration_slope, group_permutation, proportion, resample, thresholds
from insula.metrics import classification as cl
from insula.metrics import group_difference as gd
from insula.metrics.compare import holm
from insula.metrics.fairness import Codes
from insula.metrics.intervals import Figure

_GAPS = {
    "demographic_parity_difference": "called positive (demographic parity)",
    "demographic_parity_ratio": "called positive, smallest by largest",
    "equal_opportunity_difference": "sensitivity (equal opportunity)",
    "equalised_odds_difference": "sensitivity or false alarms, the wider (equalised odds)",
    "equalised_odds_ratio": "sensitivity or false alarms, smallest by largest",
    "predictive_parity_difference": "positive predictive value (predictive parity)",
}
_BEHIND = {
    "demographic_parity_difference": ("selection_rate",),
    "demographic_parity_ratio": ("selection_rate",),
    "equal_opportunity_difference": ("sensitivity",),
    "equalised_odds_difference": ("sensitivity", "false_positive_rate"),
    "equalised_odds_ratio": ("sensitivity", "false_positive_rate"),
    "predictive_parity_difference": ("ppv",),
}
_NOTE = (
    "Largest less smallest over the groups (for ratios smallest by largest). These are never below 0, so that chance "
    "alone drives groups apart: compare each with what it would be on average if the groups were dealt anew among "
    "patients of the same truth. p: of so large a gap by chance; corrected by Holm's method for all rows."
)


def by_group(groups: Sequence[Group], answers: Answers, events: int, replicates: int, seed: int) -> Table:
    """All figures of each group; a figure without enough patients behind it says so."""
    everyone = Group("all", np.ones(len(answers.y), dtype=bool))
    rows = [_row(group, answers, events, replicates, seed) for group in (everyone, *groups)]
    names = (
        "group", "patients", "positives", "prevalence", "ROC-AUC", "sensitivity", "specificity", "PPV", "NPV",
        "called positive", "observed less expected", "calibration slope",
    )  # fmt: skip
    note = (
        f"Where fewer than {events} patients are behind a figure nothing is said of it, which is no sign of fairness. "
        "PPV, NPV and the share called positive go along with the prevalence of a group, whatever the model does."
    )
    return Table("Figures by group", names, tuple(rows), note)


def against_others(compared: Sequence[Compared], title: str) -> Table:
    """Each group's figures less those of all other patients."""
    of: dict[str, dict[str, Cell]] = {}
    for one in compared:
        of.setdefault(one.group, {})[one.figure] = FEW if one.few else one.signed
    rows = tuple((name, *(cells[figure] for figure in FIGURES)) for name, cells in of.items())
    note = (
        "The group less all others, each with its own 95% interval; the findings are corrected for their number. "
        "Observed less expected: share of positives less mean probability, above 0 the probabilities are too low."
    )
    return Table(title, ("group", *(TITLES[figure] for figure in FIGURES)), rows, note)


def between(columns: Sequence[Column], answers: Answers, events: int, seed: int) -> Table:
    """How far the groups of each column lie apart, beside what chance brings; of groups with enough of both classes."""
    rows: list[tuple[str, int, str, Figure, group_permutation.Permuted]] = []
    for column in columns:
        kept = [
            code for code in range(len(column.values)) if not few("roc_auc", column.codes == code, answers.y, events)
        ]
        if len(kept) < 2:
            continue
        at = np.isin(column.codes, kept)
        codes = np.searchsorted(kept, column.codes[at])
        some = Answers(answers.y[at], answers.called[at], answers.p[at])
        dealt = group_permutation.gaps(some.y, some.called, codes, seed)
        for name, title in _GAPS.items():
            rows.append((column.name, len(kept), title, _gap(name, dealt[name].value, some, codes), dealt[name]))
        of_area = group_permutation.areas(some.y, some.p, codes, seed)
        families = [[gd.area(some.y[codes == g], some.p[codes == g]) for g in range(len(kept))]]
        wide = Figure(of_area.value, gd.largest(families), "pairs at once", len(codes), len(codes), int(some.y.sum()))
        rows.append((column.name, len(kept), "ROC-AUC", wide, of_area))
    corrected = holm([row[-1].p_value for row in rows])
    cells = tuple(
        (name, count, title, figure, _or_none(dealt.expected), _or_none(dealt.p_value), _or_none(p))
        for (name, count, title, figure, dealt), p in zip(rows, corrected, strict=True)
    )
    heads = ("column", "groups", "gap", "value", "by chance", "p", "p, corrected")
    return Table("Between the groups of a column", heads, cells, _NOTE)


def at_threshold(
    groups: Sequence[Group], answers: Answers, threshold: float, aim: OperatingPoint, events: int
) -> Table:
    """What the bundle's threshold does in each group, and the threshold that would reach the aim in it."""
    wanted = aim.sensitivity if aim.sensitivity is not None else aim.specificity
    name = "specificity" if aim.specificity is not None else "sensitivity"
    rows: list[tuple[Cell, ...]] = []
    for group in groups:
        if few(name, group.member, answers.y, events):
            rows.append((group.name, FEW, None, None))
            continue
        reached = _share(name, group.member, answers)
        rows.append((group.name, reached, _reaches(reached, wanted), _own(group.member, answers, aim)))
    said = f"The bundle calls positive from {threshold:.3f} on, chosen for {_aim(aim)} on validation patients."
    note = (
        f"{said} The last column is the threshold that reaches this aim among the patients of the group here, on whom "
        "it is optimistic: it shows how far the groups' scores are shifted, and is not for use."
    )
    return Table(
        "At the threshold of the bundle", ("group", name, "reaches the aim", "threshold of its own"), tuple(rows), note
    )


def _row(group: Group, answers: Answers, events: int, replicates: int, seed: int) -> tuple[Cell, ...]:
    member = group.member
    y, called, p = answers.y[member], answers.called[member], answers.p[member]
    who, whole = np.arange(len(y)), np.ones(len(y), dtype=bool)

    def cell(hit: Bools, among: Bools) -> Cell:
        return proportion.figure(hit, among, who, FEW) if among.sum() >= events else FEW

    both = min(int(y.sum()), int((~y).sum())) >= events
    area: Cell = FEW
    if both:
        area = resample.figure(
            "roc_auc", lambda w: cl.roc_auc(y, p, w), who, int(y.sum()), FEW, replicates, seed,
            rarest=min(int(y.sum()), int((~y).sum())),
        )  # fmt: skip
    return (
        group.name,
        len(y),
        int(y.sum()),
        cell(y, whole),
        area,
        cell(called, y),
        cell(~called, ~y),
        cell(y, called),
        cell(~y, ~called),
        cell(called, whole),
        _mean(member, answers) if both else FEW,
        calibration_slope.slope(y, p, who) if both else FEW,
    )


def _mean(member: Bools, answers: Answers) -> Figure:
    found = rate("calibration", member, answers)
    positives = int(answers.y[member].sum())
    return Figure(found.value, found.ends(0.95), "Student's t", found.n, found.n, positives)


def _gap(name: str, value: float, answers: Answers, codes: Codes) -> Figure:
    counts = (len(codes), len(codes), int(answers.y.sum()))
    if not np.isfinite(value):
        return Figure(value, None, "", *counts, "nobody was called positive")
    families = [[_rate(of, codes == g, answers) for g in range(int(codes.max()) + 1)] for of in _BEHIND[name]]
    families = [[one for one in family if one.n] for family in families]
    ends = gd.least_ratio(families) if name.endswith("ratio") else gd.largest(families)
    return Figure(value, ends, "pairs at once", *counts)


def _rate(of: str, member: Bools, answers: Answers) -> gd.Rate:
    y, called = answers.y[member], answers.called[member]
    hits, among = {
        "selection_rate": (called, np.ones(len(y), dtype=bool)),
        "sensitivity": (y & called, y),
        "false_positive_rate": (~y & called, ~y),
        "ppv": (y & called, called),
    }[of]
    return gd.share(int(hits.sum()), int(among.sum()))


def _share(name: str, member: Bools, answers: Answers) -> Figure:
    among = member & (answers.y if name == "sensitivity" else ~answers.y)
    hit = answers.called if name == "sensitivity" else ~answers.called
    return proportion.figure(hit, among, np.arange(len(among)), FEW)


def _reaches(reached: Figure, wanted: float | None) -> str | None:
    if wanted is None or reached.interval is None:
        return None
    low, high = reached.interval
    return "yes" if low >= wanted else "no" if high < wanted else "cannot tell"


def _own(member: Bools, answers: Answers, aim: OperatingPoint) -> float | None:
    try:
        return thresholds.choose(answers.y[member], answers.p[member], aim)
    except EvaluationError:  # patients of one class only
        return None


def _aim(aim: OperatingPoint) -> str:
    if aim.sensitivity is not None:
        return f"a sensitivity of {aim.sensitivity:g}"
    if aim.specificity is not None:
        return f"a specificity of {aim.specificity:g}"
    if aim.cost is not None:
        return f"the least cost, a missed patient as {aim.cost:g} false alarms"
    return "the largest F2" if aim.f2 else "the largest sum of sensitivity and specificity"


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


__all__ = ["against_others", "at_threshold", "between", "by_group"]
