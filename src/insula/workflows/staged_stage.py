"""One stage of a staged audit: trained, exported, evaluated and audited on the validation split, and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from insula.audit.outcome import AuditReport
from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.core.errors import TrainingError
from insula.core.provenance import write_json
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.evaluate.around import Asked as AskedOfEvaluation
from insula.evaluate.facts import Facts, of_recipe
from insula.evaluate.outcome import EvaluationReport, plain
from insula.export.finish import finish
from insula.infer.predict import Predictor, Reader
from insula.prep.cache import Prepared, build_all
from insula.report import audit_page
from insula.report import folder as written
from insula.train.fit import fit
from insula.train.run import WEIGHTS, Run, load_run
from insula.train.sampling import Hard
from insula.workflows import audit as audits
from insula.workflows import staged_rule
from insula.workflows.staged_hard import Drawn
from insula.workflows.staged_plan import STAGES, Asked, Candidate, of_candidate, stages_of
from insula.workflows.staged_rule import Answered

DONE = "stage.json"
EVALUATION, AUDIT, BUNDLE = "evaluation", "audit", "bundle"
_PICTURES = 2  # of each outcome, on the page of a stage's evaluation
_FIGURES = ("sensitivity", "specificity", "ppv", "npv", "f2", "roc_auc", "pr_auc", "brier")


class Progress(Protocol):
    """Shows how far a step has come."""

    def __call__(self, cases: Sequence[Case], label: str, total: int) -> Iterable[Case]:
        """The cases themselves, one after the other."""
        ...


@dataclass(frozen=True, eq=False)
class Work:
    """What all stages share. cohort: without the test split, so that no stage can look at it."""

    cohort: Cohort
    recipe: Recipe
    folder: Path
    cache: Path
    asked: Asked
    primary: str
    reader: Reader
    say: Callable[[str], None]
    progress: Progress
    bar: Callable[[Iterable[Case]], Iterator[Case]] = iter
    bars: bool = False

    @cached_property
    def prepared(self) -> dict[str, Prepared]:
        """The caches of the training and validation cases, built when the first stage trains."""
        return build_all(self.cohort.cases, Path(self.cohort.root), self.recipe, self.cache, self.bar)

    def home(self, name: str) -> Path:
        """A stage's folder."""
        return self.folder / STAGES / name


@dataclass(frozen=True, eq=False)
class Stage:
    """A finished stage. record: what its `stage.json` says. answered: its answers to the validation patients."""

    candidate: Candidate
    record: Mapping[str, Any]
    bundle: Bundle
    answered: Answered

    @property
    def failed(self) -> frozenset[str]:
        """Names of the findings of its audit that failed."""
        return frozenset(self.record["failed"])


def is_done(work: Work, name: str) -> bool:
    """Whether a stage is finished."""
    return (work.home(name) / DONE).is_file()


def run(work: Work, one: Candidate, found: Hard | None) -> Stage:
    """The stage, from its folder where it is finished, else made; one that was stopped goes on where it was.

    found: the false positives that each epoch draws from, for a stage that does.
    """
    home = work.home(one.name)
    if not is_done(work, one.name):
        begun = time.monotonic()
        bundle, trained = _trained(work, one, found)
        work.say(f"[{one.name}] evaluating and auditing bundle {bundle.id} on the validation split")
        audit, report = _judged(work, home, bundle)
        told = {
            "name": one.name,
            "dropout": one.dropout,
            "hard_negatives": 0 if found is None else len(found.rows),
            **trained,
            **summary(audit, report, bundle),
            "primary": _primary(work, report, bundle),
            "seconds": round(time.monotonic() - begun, 1),
        }
        write_json(home / DONE, plain(told))
        work.say(f"[{one.name}] {told['sentence']}")
    record: dict[str, Any] = json.loads((home / DONE).read_text(encoding="utf-8"))
    bundle = load(home / BUNDLE)
    if bundle.id != record["bundle"]:
        raise TrainingError(f"'{home / BUNDLE}' is not the bundle that {DONE} was written for; give another --out.")
    table = pd.read_parquet(home / EVALUATION / "cases.parquet")
    return Stage(one, record, bundle, staged_rule.answered(table, facts_of(bundle)))


def trained(work: Work, one: Candidate) -> Run:
    """The run of a stage that has been trained, with its network."""
    return load_run(work.home(one.name) / "run", work.cohort, work.cache, work.prepared)


def facts_of(bundle: Bundle) -> Facts:
    """The question and thresholds of a bundle."""
    return of_recipe(bundle.recipe, bundle.decision.thresholds, bundle.decision.power)


def summary(audit: AuditReport, report: EvaluationReport, bundle: Bundle) -> dict[str, Any]:
    """What is kept of an evaluation and its audit beside their own folders."""
    found = report.positive
    figures = {name: found.figures[name] for name in _FIGURES if name in found.figures}
    failed = [one.check for one in audit.failed]
    said = f"verdict of the audit: {audit.verdict}" + (f" ({', '.join(failed)})" if failed else "")
    return {
        "bundle": bundle.id,
        "threshold": found.threshold,
        "counts": {"tp": found.tp, "fp": found.fp, "fn": found.fn, "tn": found.tn},
        "figures": figures,
        "cases": len(report.table),
        "failures": len(report.failures),
        "verdict": audit.verdict,
        "failed": failed,
        "evidence": {one.check: one.evidence for one in audit.failed},
        "sentence": f"{found.tp} of {found.tp + found.fn} positives found, {found.fp} of {found.fp + found.tn} "
        f"negatives called positive; {said}",
    }


def _trained(work: Work, one: Candidate, found: Hard | None) -> tuple[Bundle, dict[str, Any]]:
    home = work.home(one.name)
    place, recipe = home / "run", of_candidate(work.recipe, one)
    if (place / WEIGHTS).is_file() and (place / "run.json").is_file():
        run = load_run(place, work.cohort, work.cache, work.prepared)
    else:
        first = stages_of(work.recipe.train)[-1].stop
        drawn = () if found is None else (Drawn(found, recipe.train.hard_negatives.share, first),)
        work.say(f"[{one.name}] training {recipe.model.encoder} with dropout {one.dropout:g}" + _told(found, recipe))
        run = fit(
            work.cohort,
            recipe,
            place,
            work.cache,
            bars=work.bars,
            resume=(place / "recipe.yaml").is_file(),
            prepared=work.prepared,
            say=work.say,
            callbacks=drawn,
        )
    if (home / BUNDLE).is_dir():
        bundle = load(home / BUNDLE)
    else:
        bundle, _ = finish(run, work.cohort, home / BUNDLE)
    return bundle, {"epochs": run.epochs, "val_loss": run.best_loss}


def _judged(work: Work, home: Path, bundle: Bundle) -> tuple[AuditReport, EvaluationReport]:
    predictor, asked = Predictor(bundle, reader=work.reader), work.asked
    audit, report = audits.run(
        bundle,
        work.cohort,
        "val",
        asked.checks,
        AskedOfEvaluation(without=asked.without),
        predictor,
        journal=home / "journal",
        seed=asked.seed,
        replicates=asked.replicates,
        sanity=asked.sanity,
        progress=work.progress,
    )
    written.write(report, bundle, work.cohort, home / EVALUATION, _PICTURES, predictor)
    audit_page.write(audit, home / AUDIT)
    return audit, report


def _primary(work: Work, report: EvaluationReport, bundle: Bundle) -> Any:
    rows = staged_rule.answered(report.table, facts_of(bundle))
    point = work.recipe.policy.operating_point
    return staged_rule.primary_figure(work.primary, rows, point, work.asked.replicates, work.asked.seed)


def _told(found: Hard | None, recipe: Recipe) -> str:
    if found is None:
        return ""
    share = recipe.train.hard_negatives.share
    return f", {100 * share:g}% of each later batch from {len(found.rows)} false positives"


def without_test(cohort: Cohort) -> Cohort:
    """The training and validation cases alone."""
    return replace(cohort, cases=tuple(case for case in cohort.cases if case.split in ("train", "val")))
