"""What check, leaks, evaluate and audit say of one situation, as names of findings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from insula.cohort import check as cohort_check
from insula.cohort import leaks as cohort_leaks
from insula.cohort.check import CheckReport
from insula.cohort.leaks import LeakReport
from insula.evaluate import looks
from insula.evaluate.around import Asked
from insula.workflows import audit
from insula.workflows.bench.situation import Situation

CHECKS = (
    "evidence",
    "predictions",
    "baselines",
    "background",
    "heat",
    "marks",
    "exchange",
    "skull",
    "subgroups",
    "calibration",
    "labels",
    "shift",
)


@dataclass(frozen=True)
class Found:
    """names: of everything that fails or is a problem, `verb/what`. roc_auc: of the model on the test patients."""

    names: tuple[str, ...]
    roc_auc: float


def look(at: Situation, folder: Path) -> Found:
    """Run the four verbs' own functions and collect what they object to."""
    checked = cohort_check.check(at.cohort)
    leaked = cohort_leaks.find(at.cohort)
    record = looks.place(folder / "cohort.parquet", folder)
    asked = Asked(record=record, plan=folder / "plan.json", baselines=True, thresholds=at.thresholds)
    report, judged = audit.run(at.bundle, at.cohort, checks=CHECKS, asked=asked, given=at.given, sanity=False)
    names = [*_of_check(checked), *_of_leaks(leaked), *(finding.check for finding in report.failed)]
    return Found(tuple(dict.fromkeys(names)), judged.positive.figures["roc_auc"].value)


def _of_check(found: CheckReport) -> list[str]:
    named = [f"check/{one.attribute.split('.')[-1]}" for one in found.associations if one.strong and not one.measured]
    whole = {
        "unreadable": found.unreadable,
        "clashes": found.clashes,
        "blank": found.blank,
        "text": found.text,
        "doubtful": found.doubtful,
    }
    return named + [f"check/{name}" for name, there in whole.items() if there]


def _of_leaks(found: LeakReport) -> list[str]:
    counted = {"patient": found.patients, "study": found.studies, "identical": found.identical, "near": found.near}
    return [f"leaks/{name}" for name, count in counted.items() if count] + ["leaks/clash"] * bool(found.clashes)
