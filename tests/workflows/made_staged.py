"""A staged audit of a small made cohort, in seconds, that can be stopped at any line it says or case it looks at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tests import made_arrays

from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, Split
from insula.workflows.staged_audit import Staged, staged
from insula.workflows.staged_plan import Asked

ASKED = Asked(dropouts=(0.9,), checks=("calibration", "labels"), sanity=False, replicates=200)


class CutError(RuntimeError):
    """What ends a staged audit within this process."""


class Events:
    """Counts lines and cases, keeps the lines, and ends the job at the event of a number."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.seen = at, 0
        self.lines: list[str] = []

    def event(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise CutError

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.event()

    def progress(self, cases: Sequence[Case], label: str, total: int) -> Iterable[Case]:
        for case in cases:
            yield case
            self.event()


def recipe(*more: str) -> Recipe:
    """The made recipe; a threshold that finds all positives, so that there are false positives."""
    return made_arrays.recipe("train.epochs=1", "policy.operating_point={sensitivity: 1.0}", *more)


def cohort(root: Path, patients: int = 32) -> Cohort:
    """The made arrays with a test split: 16 train, 8 val, 8 test."""
    splits: list[Split] = ["train", "val", "train", "test"]
    cases = made_arrays.cohort(root, patients).cases
    return Cohort(tuple(replace(c, split=splits[i % 4]) for i, c in enumerate(cases)), str(root), "patient")


def run(
    table: Cohort,
    folder: Path,
    events: Events | None = None,
    asked: Asked = ASKED,
    question: Recipe | None = None,
) -> Staged:
    """One staged audit, or the rest of one."""
    events = events or Events()
    cache = folder.parent / "cache"
    return staged(
        table,
        question or recipe(),
        folder,
        cache,
        asked,
        table=folder.parent / "cohort.csv",
        say=events.say,
        progress=events.progress,
    )
