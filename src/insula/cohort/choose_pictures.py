"""Which cases of a cohort are worth a look: the suspicious ones with their reasons, then some of every class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from insula.cohort import associations
from insula.cohort.check import CheckReport, class_of
from insula.core.types import Case, Cohort

_LOWEST = 8


@dataclass(frozen=True)
class Choice:
    """One case to be shown. score: its quality, if it was measured; reasons: why it stands out, if it does."""

    case: Case
    label: str
    score: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Sheets:
    """Contact sheets. suspicious: the gravest first; more: how many are left out; classes: class → (cases, of)."""

    suspicious: tuple[Choice, ...]
    more: int
    classes: Mapping[str, tuple[tuple[Choice, ...], int]]


def choose(report: CheckReport, cohort: Cohort, most: int = 40, each: int = 10) -> Sheets:
    """At most `most` suspicious cases, and up to `each` others per class, spread evenly over the class.

    Unreadable cases have no picture and are not among them. Where a scan's score is one of the eight lowest of a
    cohort of at least forty, that counts as a reason too.
    """
    reasons = _reasons(report)
    scores = {s.case: s.quality.score for s in report.seen if s.quality is not None}
    keys = {case.key: number for number, case in enumerate(cohort.cases)}
    if len(scores) >= 5 * _LOWEST:
        for number in sorted(scores, key=lambda n: (scores[n], n))[:_LOWEST]:
            reasons[cohort.cases[number].key].append((4, f"one of the {_LOWEST} lowest quality scores"))

    def choice(case: Case) -> Choice:
        said = sorted(reasons.get(case.key, []))
        return Choice(case, class_of(case), scores.get(keys[case.key]), tuple(text for _, text in said))

    unreadable = {item.path for item in report.unreadable}
    found = sorted(
        (key for key in reasons if key not in unreadable),
        key=lambda key: (min(rank for rank, _ in reasons[key]), -len(reasons[key]), keys[key]),
    )
    groups: dict[str, list[Case]] = defaultdict(list)
    for case, name in zip(cohort.cases, associations.groups(cohort), strict=True):
        groups[name or "unlabelled"].append(case)
    classes = {}
    for name, members in sorted(groups.items()):
        plain = [c for c in members if c.key not in reasons and c.key not in unreadable]
        classes[name] = (tuple(choice(c) for c in _spread(plain, each)), len(members))
    shown = _balanced(found, reasons, most)
    return Sheets(tuple(choice(cohort.cases[keys[k]]) for k in shown), len(found) - len(shown), classes)


def _balanced(found: Sequence[str], reasons: Mapping[str, list[tuple[int, str]]], most: int) -> list[str]:
    """The first of each kind in turn, so that one frequent fault does not hide the others; then in order of gravity."""
    kinds: dict[int, list[str]] = defaultdict(list)
    for key in found:
        kinds[min(rank for rank, _ in reasons[key])].append(key)
    taken: set[str] = set()
    for place in range(max((len(keys) for keys in kinds.values()), default=0)):
        for keys in kinds.values():
            if place < len(keys) and len(taken) < most:
                taken.add(keys[place])
    return [key for key in found if key in taken]


def _reasons(report: CheckReport) -> dict[str, list[tuple[int, str]]]:
    """Case key → (gravity, reason)."""
    made: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for group in report.clashes:
        for key in group:
            other = next(k for k in group if k != key)
            more = f" and {len(group) - 2} more" if len(group) > 2 else ""
            made[key].append((0, f"the same picture as {other}{more}, with another label"))
    for key in report.blank:
        made[key].append((1, "blank"))
    for key, marks in report.text:
        made[key].append((2, f"may bear text ({marks} letter-like marks)"))
    for key, what in report.odd:
        made[key].append((3, what))
    return made


def _spread(cases: Sequence[Case], count: int) -> list[Case]:
    if len(cases) <= count:
        return list(cases)
    return [cases[i] for i in np.linspace(0, len(cases) - 1, count).astype(int)]
