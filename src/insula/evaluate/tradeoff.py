"""Several forms of one model on the same cases: size, time and accuracy, and which of them no other one beats."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from insula.bundle.types import Bundle
from insula.core.errors import EvaluationError, InsulaError
from insula.core.labels import clinical
from insula.core.types import Case, Cohort
from insula.evaluate.compare import Entry, aligned_rows
from insula.evaluate.evidence import Looks
from insula.evaluate.facts import Facts
from insula.evaluate.outcome import LIMITS, plain
from insula.infer import pace
from insula.infer.feed import Feed, of_case
from insula.infer.predict import Predictor
from insula.metrics import compare as tests
from insula.metrics import proportion
from insula.metrics.intervals import Figure

GRAPHS = ("model.onnx", "head.onnx")
TIMED = 3  # cases


@dataclass(frozen=True)
class Form:
    """One of the bundles.

    how: what was done to it, "as trained" for nothing. encoder: of its first role. bytes: of its graphs. ms: lower
    quartile, median and upper quartile of one case. roc_auc: DeLong's. difference: of its ROC-AUC from the first one's,
    p_value its two-sided p, adjusted after Holm over all forms; None for the first itself. agreement: share of the
    patients who get the first one's answer, each by its own threshold. front: whether no other form is at least as good
    in all of bytes, median and ROC-AUC and better in one.
    """

    name: str
    bundle: str
    how: str
    encoder: str
    bytes: int
    ms: tuple[float, float, float]
    roc_auc: Figure
    difference: Figure | None
    p_value: float
    adjusted: float
    agreement: Figure
    front: bool
    optimistic: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tradeoff:
    """The forms of a model over the patients that all of them predicted; timed: cases that were run in turn."""

    facts: Facts
    forms: tuple[Form, ...]
    patients: int
    positives: int
    threads: int
    timed: int
    machine: str
    looks: Looks | None
    notes: tuple[str, ...]
    source: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data; what is not a number becomes null."""
        return {"limits": LIMITS, "kind": "tradeoff", **{f.name: plain(getattr(self, f.name)) for f in fields(self)}}


def tradeoff(
    bundles: Sequence[Bundle],
    entries: Sequence[Entry],
    times: Sequence[Sequence[float]],
    threads: int,
    looks: Looks | None,
    source: Mapping[str, Any],
) -> Tradeoff:
    """Hold all bundles against the first; entries: their predictions as they were judged, times: of `timed`.

    Raises EvaluationError where they answer different questions or have not one case in common.
    """
    rows, notes = aligned_rows(entries)
    first = rows[0]
    keys = np.array([str(i) for i in range(len(first.y))])
    compared = [tests.delong(first.y, one.p, first.p) for one in rows[1:]]
    adjusted = tests.holm([found.p_value for found in compared])
    forms = []
    for i, (bundle, entry, one) in enumerate(zip(bundles, entries, rows, strict=True)):
        gap = compared[i - 1] if i else None
        forms.append(
            Form(
                entry.name,
                bundle.id,
                _how(bundle),
                str(bundle.recipe.model.of(bundle.recipe.role).encoder),
                sum((bundle.path / name).stat().st_size for name in GRAPHS),
                pace.quartiles(times[i]),
                tests.delong_interval(one.y, one.p),
                None if gap is None else gap.difference,
                float("nan") if gap is None else gap.p_value,
                float("nan") if gap is None else adjusted[i - 1],
                proportion.figure(one.called == first.called, np.ones(len(keys), bool), keys, "no patient"),
                False,
                entry.optimistic,
            )
        )
    points = [(form.bytes, form.ms[1], -form.roc_auc.value) for form in forms]
    best = front(points)
    return Tradeoff(
        entries[0].facts,
        tuple(replace(form, front=k in best) for k, form in enumerate(forms)),
        len(first.y),
        int(first.y.sum()),
        threads,
        TIMED,
        f"{platform.machine()}, {threads} thread{'s' if threads > 1 else ''}",
        looks,
        tuple(notes),
        dict(source),
    )


def front(points: Sequence[Sequence[float]]) -> set[int]:
    """The points that no other one dominates, where less is better in each coordinate; NaN is never better."""
    found = set()
    for i, mine in enumerate(points):
        if not any(_dominates(other, mine) for k, other in enumerate(points) if k != i):
            found.add(i)
    return found


def timed(predictors: Sequence[Predictor], cohort: Cohort, cases: Sequence[Case]) -> list[list[float]]:
    """Milliseconds of each bundle's network on the first cases that all of them can read, run in turn.

    Raises EvaluationError where there is no such case.
    """
    chosen: list[list[Feed]] = [[] for _ in predictors]
    for case in cases:
        try:
            feeds = [_feed(one, case, Path(cohort.root)) for one in predictors]
        except InsulaError:
            continue  # the evaluation has told why
        for own, feed in zip(chosen, feeds, strict=True):
            own.append(feed)
        if len(chosen[0]) == TIMED:
            break
    if not chosen[0]:
        raise EvaluationError("Not one case can be read by all bundles, so that nothing is timed; look at its files.")
    return pace.in_turn([one.engine for one in predictors], chosen)


def _feed(predictor: Predictor, case: Case, root: Path) -> Feed:
    views, _ = predictor.views(case, root)
    recipe = predictor.bundle.recipe
    return of_case(views, clinical(case.attributes, recipe.clinical), predictor.engine.input_shapes, recipe)


def _how(bundle: Bundle) -> str:
    """What was done to a bundle since it was trained, the last first."""
    told: Mapping[str, Any] | None = bundle.metrics.get("optimised")
    done = []
    while told:
        done.append(str(told["method"]))
        told = told.get("made_from")
    return " of ".join(done) or "as trained"


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))
