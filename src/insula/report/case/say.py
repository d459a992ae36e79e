"""How the case report says numbers, instants and answers."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

from insula.metrics.prevalence import Ends
from insula.report.case.record import CaseReport, Further, Picture, Review

_FREE = "event_free_"
_DIGITS = 6  # what leaves the program, see infer.writers


def number(x: float | None) -> str:
    """A number as the record holds it, in at most six decimals: 0.87 is `0.87`; a dash where there is none."""
    if x is None or not math.isfinite(x):
        return "–"
    return format(Decimal(repr(rounded(x))), "f")


def rounded(x: float) -> float:
    """A number with as many digits as `number` writes, for forms that hold numbers."""
    return round(float(x), _DIGITS) + 0.0


def labels(label: str) -> list[str]:
    """The labels of an answer, of which several may stand together."""
    return [one for part in label.split(";") if (one := part.strip())]


def warnings(report: CaseReport) -> list[str]:
    """The warnings about the scans in words, each with the scan that it is about."""
    return [f"{scan.role}: {one}" for scan in report.study.scans for one in dict.fromkeys(scan.warnings)]


def short(x: float | None) -> str:
    """Three significant digits, for heat and millimetres, where the record holds more than can be meant."""
    return "–" if x is None or not math.isfinite(x) else format(Decimal(f"{x:.3g}"), "f")


def percent(x: float, t: dict[str, str]) -> str:
    """A share as a percentage in the language's own order, or a dash; what is not all or nothing is never said so."""
    if not math.isfinite(x):
        return "–"
    said = f"{100 * x:.1f}"
    if 0 < x < 1 and said in ("0.0", "100.0"):
        said = f"{100 * min(max(x, 1e-4), 1 - 1e-4):.2f}"
    return t["percent"].format(said)


def prevalence(x: float, t: dict[str, str]) -> str:
    """A prevalence as a percentage with no more digits than it has."""
    return t["percent"].format(number(100 * x).removesuffix(".0"))


def ends(three: Ends, t: dict[str, str]) -> tuple[str, str]:
    """A share, and its interval or ""."""
    value, low, high = three
    if not math.isfinite(low) or not math.isfinite(high):
        return percent(value, t), ""
    return percent(value, t), t["to"].format(low=percent(low, t), high=percent(high, t))


def moment(at: datetime) -> str:
    """An instant to the minute, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def spacing(three: tuple[float, float, float] | None, t: dict[str, str]) -> str:
    """Millimetres along x, y, z."""
    return " × ".join(short(x) for x in three) if three else t["unknown"]


def where(picture: Picture, t: dict[str, str]) -> str:
    """Which slice or tile of its scan a picture shows."""
    return t[picture.part].format(n=picture.slice, of=picture.of)


def evidence(picture: Picture, t: dict[str, str]) -> str:
    """What the map of a picture is evidence for, and whether the model calls it present."""
    return t["evidence"].format(name=picture.finding) + ("" if picture.present else t["not_present"])


def further_name(answer: Further, name: str, t: dict[str, str]) -> str:
    """What one value of a further answer is called."""
    if answer.kind == "survival" and name.startswith(_FREE):
        event = answer.event or t["an_event"]
        return t["event_free"].format(event=event, days=name.removeprefix(_FREE))
    return t.get(name, name) if name in ("log_hazard", "value") else name


def most_probable(answer: Further) -> str:
    """The most probable class of a further answer; "" for one that is a number."""
    if answer.kind in ("survival", "regression") or not answer.values:
        return ""
    return max(answer.values, key=lambda one: one.value).name


def state(report: CaseReport, t: dict[str, str]) -> str:
    """Whether a reader has signed the report, and what he says of the answer, before anything that the model says."""
    if report.review is None:
        return t["draft"]
    return f"{t['final']}: {read(report.review, t)}" if report.decided else t["undecided"]


def read(review: Review, t: dict[str, str]) -> str:
    """What a reader says of the answer: the verdict, and the reader's class where there is one."""
    return ", ".join(part for part in (t.get(review.verdict, review.verdict), review.label) if part)


def headline(report: CaseReport, t: dict[str, str]) -> str:
    """The answer in one line: label and confidence; "" for a rejected case."""
    given = report.answer
    if given.action == "reject":
        return ""
    return f"{given.label} · {t['confidence']} {number(given.confidence)}"
