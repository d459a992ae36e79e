"""The main figures of an evaluation and the findings of an audit for a model's page; neither names a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from insula.report import audit_advice, audit_words, figures, words
from insula.report.draw import Drawing
from insula.report.record import Record
from insula.serve.models.beside import What, beside

T = TypeVar("T")
_FIGURES: Final = (
    "roc_auc", "sensitivity", "specificity", "ppv", "npv", "accuracy", "pr_auc", "brier", "ece", "calibration_slope"
)  # fmt: skip
_CHARTS: Final = (figures.roc, figures.reliability, figures.confusion)
_COVERAGE: Final = ("accepted", "referred", "rejected", "accuracy_of_accepted")
UNREADABLE: Final = "It lacks what this version shows; make it again with this version."


@dataclass(frozen=True)
class Row:
    """A figure in words: its name, value, interval (or why there is none), and what it rests on."""

    name: str
    value: str
    interval: str
    basis: str


@dataclass(frozen=True)
class Part:
    """What lies beside a bundle. file: its name. shown: None where nothing does or it was refused; reason: why."""

    file: str
    shown: dict[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """A finding of an audit in words, without its evidence, which may name cases."""

    title: str
    value: str
    interval: str
    limit: str
    verdict: str


@dataclass(frozen=True)
class Said:
    """The findings of an audit by verdict, and what cannot be told by reason: reason → how many."""

    failed: tuple[Finding, ...] = ()
    passed: tuple[Finding, ...] = ()
    open: dict[str, int] = field(default_factory=dict)


def evaluation(path: Path, bundle_id: str) -> Part:
    """The evaluation beside a bundle."""
    return _part(path, bundle_id, "report", _evaluated)


def audit(path: Path, bundle_id: str) -> Part:
    """The audit beside a bundle."""
    return _part(path, bundle_id, "audit", _audited)


def guarded(make: Callable[[Record], T], record: Record) -> T | None:
    """What is made of a record from outside; None where it lacks something."""
    try:
        return make(record)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None


def _part(path: Path, bundle_id: str, what: What, make: Callable[[Record], dict[str, Any]]) -> Part:
    found = beside(path, bundle_id, what)
    if found.record is None:
        return Part(found.file, None, found.reason)
    made = guarded(make, found.record)
    return Part(found.file, made, "" if made else UNREADABLE)


def _evaluated(record: Record) -> dict[str, Any]:
    level, facts = record["patient"], record["facts"]
    held = level["classes"][facts["positive"]]
    unit = f"{level['name']}s"
    rows = [_row(key, held["figures"][key], unit) for key in _FIGURES if key in held["figures"]]
    coverage = record.get("coverage") or {}
    charts: list[Drawing] = [drawn for make in _CHARTS if (drawn := make(record)) is not None]
    return {
        "headline": str(record["headline"]),
        "optimistic": [str(one) for one in record["optimistic"]],
        "positive": facts["positive"],
        "patients": level["patients"],
        "positives": held["tp"] + held["fn"],
        "cases": record["cases"]["rows"],
        "split": (record.get("source") or {}).get("split", ""),
        "rows": rows,
        "coverage": [_row(key, coverage[key], "cases") for key in _COVERAGE if coverage.get(key)],
        "charts": charts,
        "guards": [(one["name"], one["verdict"], words.sentence(one["finding"])) for one in record["guards"]],
        "looks": record["looks"]["sentence"] if record.get("looks") else "",
        "created": words.moment(record["origin"]["created"]),
    }


def _row(key: str, figure: Any, unit: str) -> Row:
    return Row(words.name(key), words.value(figure), words.interval(figure), words.basis(key, figure, unit))


def _audited(record: Record) -> dict[str, Any]:
    of = audit_words.of_verdict(record["findings"])
    facts = record["facts"]
    return {
        "verdict": record["verdict"],
        "headline": audit_words.headline(record),
        "counted": audit_words.others(record),
        "patients": facts["patients"],
        "cases": facts["cases"],
        "positives": facts["positives"],
        "split": facts["split"],
        "said": Said(
            tuple(map(_finding, audit_advice.gravest(of["fail"], len(of["fail"])))),
            tuple(map(_finding, of["pass"])),
            {audit_words.REASONS[kind]: len(held) for kind, held in audit_words.by_reason(of["cannot tell"]).items()},
        ),
        "steps": audit_advice.steps(record),
        "created": words.moment(record["origin"]["created"]),
    }


def _finding(one: Any) -> Finding:
    said = audit_words.title(one["check"]), audit_words.value(one), audit_words.interval(one), audit_words.limit(one)
    return Finding(*said, one["verdict"])
