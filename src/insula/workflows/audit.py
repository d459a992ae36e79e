"""An audit from a bundle and a cohort: the evaluation that it stands on, then every check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from insula.audit.ground import Ground
from insula.audit.outcome import AuditReport
from insula.audit.run import audit, find
from insula.bundle.types import Bundle
from insula.core.errors import BundleError
from insula.core.types import Case, Cohort, Heatmap
from insula.evaluate.around import Asked as AskedOfEvaluation
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import REPLICATES, evaluate
from insula.infer.explainer import Asked
from insula.infer.predict import Predictor

NETWORKS = 3
Found = Mapping[str, Mapping[str, Heatmap]]


class Progress(Protocol):
    """Shows how far a step has come."""

    def __call__(self, cases: Sequence[Case], label: str, total: int) -> Iterable[Case]:
        """The cases themselves, one after the other."""
        ...


def _plain(cases: Sequence[Case], label: str, total: int) -> Iterable[Case]:
    return cases


def run(
    bundle: Bundle,
    cohort: Cohort,
    split: str = "test",
    checks: Sequence[str] = (),
    asked: AskedOfEvaluation | None = None,
    predictor: Predictor | None = None,
    journal: Path | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
    sanity: bool | None = None,
    given: Mapping[str, float] | None = None,
    progress: Progress = _plain,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[AuditReport, EvaluationReport]:
    """Evaluate the bundle on a split and audit it on the same cases, through one predictor.

    checks: names of `audit.run.AUDITS`; all where none is named. journal: a folder by which a stopped audit goes on.
    given: case → probability of the positive class in a table made elsewhere, to be held against the bundle's own.
    sanity: hold heat against networks whose weights were drawn anew; by default where PyTorch is installed and builds
    the bundle's network. say: told what is done where progress counts nothing. Raises EvaluationError as `evaluate`
    does, and BundleError where `sanity` is wanted and the network cannot be built.
    """
    wanted = find(checks)
    predictor = predictor or Predictor(bundle)
    asked = asked or AskedOfEvaluation(baselines=True)

    def judging(cases: Sequence[Case]) -> Iterable[Case]:
        yield from progress(cases, "evaluate", len(cases))
        say("figures, guards and trivial models of the evaluation")

    def measuring(cases: Sequence[Case]) -> Iterable[Case]:
        yield from progress(cases, "audit", len(cases))
        say("judging what was measured")

    say("hashing the files of the cases, then predicting them")
    report = evaluate(bundle, cohort, split, judging, predictor, replicates=replicates, asked=asked)
    by_key = {case.key: case for case in cohort.cases}
    cases = tuple(by_key[key] for key in report.table["case"].astype(str))
    possible = find_spec("torch") is not None if sanity is None else sanity
    drawn = None
    if possible and any(check.name == "heat" for check in wanted):
        say("loading PyTorch, to hold heat against networks with weights drawn anew")
        drawn = _Drawn(seed, must=bool(sanity))
    if drawn and sanity:  # before hours go by
        views, _ = predictor.views(cases[0], Path(cohort.root))
        drawn(Asked(predictor, views, report.facts.positive_index, cases[0].attributes))
    ground = Ground(bundle, predictor, cohort, _labelled(cases, report), report, seed, replicates, given, drawn)
    return audit(ground, wanted, journal, measuring), report


def _labelled(cases: Sequence[Case], report: EvaluationReport) -> tuple[Case, ...]:
    """The cases with the label that the evaluation read, wherever in the cohort it stood."""
    facts = report.facts
    y = report.table[[f"y_{name}" for name in facts.classes]].to_numpy(bool)
    found = []
    for case, row in zip(cases, y, strict=True):
        own = tuple(name for name, there in zip(facts.classes, row, strict=True) if there)
        found.append(replace(case, labels={**case.labels, facts.target: own}))
    return tuple(found)


class _Drawn:
    """Maps of networks whose weights were drawn anew; none at all once the network could not be built.

    must: raise BundleError instead.
    """

    def __init__(self, seed: int, must: bool) -> None:
        from insula.explain.randomised import Randomised

        self._networks: Randomised | None = Randomised("class_map", NETWORKS, seed, cascade=False)
        self._must = must

    def __call__(self, asked: Asked) -> Found:
        if self._networks is None:
            return {}
        try:
            return self._networks.maps(asked)
        except BundleError:
            if self._must:
                raise
            self._networks = None
            return {}
