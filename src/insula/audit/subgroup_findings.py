"""Each group of patients against all others, and what may be said of it once it is known how many were looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from insula.audit.groups import Bools, Floats, Group
from insula.core.recipe_audit import Subgroups
from insula.core.types import Finding, Verdict
from insula.metrics import group_difference as gd
from insula.metrics.compare import holm
from insula.metrics.group_difference import Ends, Rate
from insula.metrics.intervals import Figure

FIGURES = ("sensitivity", "specificity", "roc_auc", "calibration")
TITLES: Mapping[str, str] = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "roc_auc": "ROC-AUC",
    "calibration": "observed less expected",
}
FEW = "not enough cases"
_ALPHA = 0.05
_OF_PAIRS = 0.01  # of the 0.05, where groups of two columns are looked at as well
_RANK: Mapping[Verdict, int] = {"fail": 0, "cannot tell": 1, "pass": 2}


@dataclass(frozen=True)
class Answers:
    """The patients' truth, answers and probabilities of the positive class, (P,) each."""

    y: Bools
    called: Bools
    p: Floats


@dataclass(frozen=True)
class Compared:
    """A group in one figure beside all others. few: why nothing is said of it, else "".

    worse: by how much it is worse than the others (for calibration: by how much it differs), with its 95% interval;
    p_value: of being no worse (for calibration: no different) at all.
    """

    group: str
    figure: str
    own: Rate
    others: Rate
    worse: float
    interval: Ends | None
    limit: float | None
    p_value: float
    few: str = ""

    @property
    def name(self) -> str:
        """The finding's name."""
        return f"subgroups/{self.group}/{self.figure}"

    @property
    def judged(self) -> bool:
        """Whether there is enough to be held against a limit."""
        return not self.few and self.limit is not None

    @property
    def signed(self) -> Figure:
        """The group's figure less that of all others."""
        n, events = self.own.n + self.others.n, self.own.events + self.others.events
        if self.few:
            return Figure(math.nan, None, "", n, n, events, self.few)
        ends = gd.difference(self.own, self.others)
        return Figure(self.own.value - self.others.value, ends, "Newcombe's hybrid", n, n, events)


def compare(group: Group, answers: Answers, limits: Subgroups) -> list[Compared]:
    """The group in all FIGURES."""
    return [_compare(group, name, answers, limits) for name in FIGURES]


def rate(name: str, member: Bools, answers: Answers) -> Rate:
    """One of FIGURES of some patients."""
    y, called, p = answers.y[member], answers.called[member], answers.p[member]
    if name == "sensitivity":
        return gd.share(int((y & called).sum()), int(y.sum()))
    if name == "specificity":
        return gd.share(int((~y & ~called).sum()), int((~y).sum()))
    return gd.area(y, p) if name == "roc_auc" else gd.mean(y - p)


def few(name: str, member: Bools, y: Bools, events: int) -> str:
    """What a group lacks for a figure, as a sentence's part; "" where it has enough."""
    sides = {"positives": y, "negatives": ~y}
    if name in ("sensitivity", "specificity"):
        sides = {"positives": y} if name == "sensitivity" else {"negatives": ~y}
    lacking = [
        f"{int((member & side).sum())} {what}" for what, side in sides.items() if int((member & side).sum()) < events
    ]
    return " and ".join(lacking)


def findings(of_one: Sequence[Compared], of_pairs: Sequence[Compared]) -> tuple[Finding, ...]:
    """All comparisons as findings: failures first, groups of one column before those of two, the worse before others.

    A group fails where its 95% interval lies wholly beyond the limit, and it differs from the others with a p-value
    below 0.05 after Holm's correction for all groups and figures that are looked at: of 20 audits of a model that
    treats all groups alike at most one names any. Where groups of two columns are looked at too, they have 0.01 of the
    0.05 and the others the rest. It passes where its 95% interval lies within the limit.
    """
    both = any(one.judged for one in of_one) and any(one.judged for one in of_pairs)
    shares = (_ALPHA - _OF_PAIRS, _OF_PAIRS) if both else (_ALPHA, _ALPHA)
    found: list[Finding] = []
    for family, share in ((of_one, shares[0]), (of_pairs, shares[1])):
        corrected = holm([one.p_value if one.judged else math.nan for one in family])
        looked_at = sum(one.judged for one in family)
        found += [
            _finding(one, min(p * _ALPHA / share, 1.0), looked_at) for one, p in zip(family, corrected, strict=True)
        ]
    return tuple(sorted(found, key=_worst))


def _worst(finding: Finding) -> tuple[bool, int, bool, float]:
    over = finding.value - (0.0 if math.isnan(finding.limit) else finding.limit)
    silent = math.isnan(over)
    return silent, _RANK[finding.verdict], " & " in finding.check, 0.0 if silent else -over


def _compare(group: Group, name: str, answers: Answers, limits: Subgroups) -> Compared:
    limit: float | None = getattr(limits, name)
    lacking = few(name, group.member, answers.y, limits.events)
    beside = few(name, ~group.member, answers.y, limits.events)
    if lacking or beside:
        nothing = Rate(math.nan, lambda level: (-math.inf, math.inf), 0, 0)
        said = f"{FEW}: {lacking} in {group.name}" if lacking else f"{FEW}: {beside} in all others"
        return Compared(group.name, name, nothing, nothing, math.nan, None, limit, math.nan, said)
    own, others = rate(name, group.member, answers), rate(name, ~group.member, answers)

    high, low = others, own
    if name == "calibration":
        high, low = sorted((own, others), key=lambda one: one.value, reverse=True)
    gap, interval = high.value - low.value, gd.difference(high, low)
    p_value = gd.p_above(lambda level: gd.difference(high, low, level), gap, 0.0)
    if name == "calibration":
        interval = gd.either_way(interval)
        if abs(own.value) < abs(others.value):  # the others are those that are off
            gap, interval = -gap, (-interval[1], -interval[0])
    return Compared(group.name, name, own, others, gap, interval, limit, p_value)


def _finding(one: Compared, p: float, looked_at: int) -> Finding:
    limit = math.nan if one.limit is None else one.limit
    if one.few or one.interval is None:
        needed = one.few or FEW
        return Finding(one.name, math.nan, None, limit, "cannot tell", f"{needed}. That is no sign of fairness.")
    low, high = one.interval
    told = _told(one)
    if one.limit is None:
        return Finding(one.name, one.worse, one.interval, limit, "cannot tell", told)
    verdict: Verdict = "cannot tell"
    corrected = f"p {_p(p)} corrected for {looked_at} comparisons" if looked_at > 1 else f"p {_p(p)}"
    if low > one.limit and p < _ALPHA:
        verdict = "fail"
        told += f" Beyond {one.limit:g}, and no chance finding ({corrected})."
    elif low > one.limit:
        told += f" Beyond {one.limit:g}, but so large a difference may be chance among so many ({corrected})."
    elif high <= one.limit:
        verdict = "pass"
    return Finding(one.name, one.worse, one.interval, limit, verdict, told)


def _told(one: Compared) -> str:
    low, high = one.interval or (math.nan, math.nan)
    title = TITLES[one.figure]
    own, others = _shown(one.figure, one.own), _shown(one.figure, one.others)
    if one.figure == "calibration":
        how = f"{abs(one.worse):.3f} apart"
    else:
        how = f"{abs(one.worse):.3f} {'lower' if one.worse > 0 else 'higher'}"
        how = "the same" if one.worse == 0 else how
    sides = f"{title[0].upper()}{title[1:]} {own} in {one.group} against {others} in all others: {how}"
    sign = " (below 0: the others are worse)" if low < 0 else ""
    return f"{sides}; 95% interval {low:.3f} to {high:.3f}{sign}."


def _shown(name: str, of: Rate) -> str:
    if name in ("sensitivity", "specificity"):
        return f"{of.value:.3f} ({of.events} of {of.n})"
    return f"{of.value:+.3f}" if name == "calibration" else f"{of.value:.3f}"


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def enough(member: Bools, y: Bools, events: int) -> bool:
    """Whether anything can be said of these patients: enough positives, or enough negatives."""
    return bool(np.count_nonzero(member & y) >= events or np.count_nonzero(member & ~y) >= events)
