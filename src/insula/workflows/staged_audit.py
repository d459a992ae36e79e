"""A staged audit: train, audit, false positives back into training, a sweep of dropout, and one look at the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from insula.core.errors import UsageError
from insula.core.provenance import record, write_json
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.evaluate import looks
from insula.evaluate.around import Asked as AskedOfEvaluation
from insula.evaluate.outcome import LIMITS, plain
from insula.infer.predict import Predictor, Reader
from insula.report import audit_page
from insula.report import folder as written
from insula.scans import read as files
from insula.train.sampling import Hard
from insula.workflows import audit as audits
from insula.workflows import staged_hard, staged_log, staged_page, staged_plan, staged_rule, staged_stage
from insula.workflows.staged_plan import HARD, Asked, Candidate
from insula.workflows.staged_rule import Answered, Change, Judged, Standing
from insula.workflows.staged_stage import Progress, Stage, Work

CHOICE, TEST, TESTED, FIGURES = "choice.json", "test", "test.json", "staged.json"
_FIRST = ("evidence", "baselines")  # checks that speak of the test alone


@dataclass(frozen=True, eq=False)
class Staged:
    """A finished staged audit. held: its record, as `staged.json` has it. patients: the log, a row a patient."""

    folder: Path
    held: Mapping[str, Any]
    patients: pd.DataFrame

    @property
    def verdict(self) -> str:
        """The verdict of the audit on the test split."""
        return str(self.held["test"]["verdict"])


def _plain(cases: Sequence[Case], label: str, total: int) -> Iterable[Case]:
    return cases


def staged(
    cohort: Cohort,
    recipe: Recipe,
    folder: Path,
    cache: Path,
    asked: Asked | None = None,
    *,
    table: Path | None = None,
    reader: Reader = files.read_files,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = _plain,
    bar: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    bars: bool = False,
) -> Staged:
    """Carry out a staged audit in a folder, or go on with one that was stopped there.

    The plan is written first, and one that stands there already must be the same. Each stage is trained on the train
    split, evaluated and audited on the val split and kept in `stages/NAME`; a finished one is not made again. Then the
    rule chooses, which is written down too, and the chosen bundle alone is evaluated and audited on the test split, in
    `test`. Writes `staged.html` (one page), `staged.json`, `patients.csv` and `patients.parquet`. table: the cohort's
    file, beside which the look at the test is counted. Raises UsageError for another plan than that on disk, and what
    training, export and evaluation raise.
    """
    asked = asked or Asked()
    made = staged_plan.make(cohort, recipe, asked)
    plan = staged_plan.keep(made, folder)
    seen = staged_stage.without_test(cohort)
    work = Work(seen, recipe, folder, cache, asked, plan["primary"], reader, say, progress, bar, bars)
    stages, skipped = _stages(work)
    found = _chosen(work, plan, stages)
    name = staged_rule.chosen(found)
    write_json(folder / CHOICE, {"stage": name, "primary": plan["primary"], "standings": plain(found)})
    say(f"[choice] {name}, by the rule in {staged_plan.FILE}")
    told, rows = _tested(work, cohort, stages[name], table)
    changes = staged_rule.corrected(
        {
            key: staged_rule.change(
                one.answered,
                stages[one.candidate.before].answered,
                one.candidate.before,
                asked.replicates,
                asked.seed,
            )
            for key, one in stages.items()
            if one.candidate.before
        }
    )
    held = _held(work, plan, stages, skipped, changes, found, told)
    befores = {key: one.candidate.before for key, one in stages.items() if one.candidate.before}
    answers = {key: one.answered for key, one in stages.items()}
    log = staged_log.table(answers, befores, (name, rows), recipe.target.positive)
    staged_log.write(log, folder)
    write_json(folder / FIGURES, held)
    staged_page.write(held, folder)
    return Staged(folder, held, log)


def _stages(work: Work) -> tuple[dict[str, Stage], str]:
    """All stages in their order, and why none draws hard negatives, where that is so."""
    first, hard, *rest = staged_plan.candidates(work.recipe, work.asked)
    stages = {first.name: staged_stage.run(work, first, None)}
    found = _listed(work, first, [hard, *rest])
    skipped = ""
    if found is not None and len(found.rows) == 0:
        skipped = "the baseline calls no training input without the finding positive, so there is nothing to draw from"
        work.say(f"[{HARD}] left out: {skipped}")
        rest = [replace(one, before=first.name, hard=False) for one in rest]
        found = None
    else:
        stages[hard.name] = staged_stage.run(work, hard, found)
    for one in rest:
        stages[one.name] = staged_stage.run(work, one, found)
    return stages, skipped


def _listed(work: Work, first: Candidate, others: Sequence[Candidate]) -> Hard | None:
    """The false positives of the baseline; read from their list where that is complete and no stage has to train."""
    home = work.home(HARD)
    if all(staged_stage.is_done(work, one.name) for one in others):
        return None
    work.say(f"[{HARD}] looking for false positives of the baseline among its training inputs")
    return staged_hard.find(staged_stage.trained(work, first), work.cohort, home, work.say)


def _chosen(work: Work, plan: Mapping[str, Any], stages: Mapping[str, Stage]) -> tuple[Standing, ...]:
    judged = [Judged(name, one.answered, one.failed) for name, one in stages.items()]
    point = work.recipe.policy.operating_point
    return staged_rule.standings(judged, plan["primary"], point, work.asked.replicates, work.asked.seed)


def _tested(work: Work, cohort: Cohort, stage: Stage, table: Path | None) -> tuple[dict[str, Any], Answered]:
    """The one look at the test split, by the chosen bundle; read from its folder where it has been taken."""
    home, bundle, asked = work.folder / TEST, stage.bundle, work.asked
    facts = staged_stage.facts_of(bundle)
    if not (home / TESTED).is_file():
        work.say(f"[test] evaluating and auditing bundle {bundle.id} on the test split")
        predictor = Predictor(bundle, reader=work.reader)
        look = AskedOfEvaluation(
            record=None if table is None else looks.place(table, home),
            register=None if table is None else looks.register(),
            plan=home / "evaluation-plan.json",
            baselines=True,
            without=asked.without,
        )
        audit, report = audits.run(
            bundle,
            cohort,
            "test",
            (*_FIRST, *asked.checks),
            look,
            predictor,
            journal=home / "journal",
            seed=asked.seed,
            replicates=asked.replicates,
            sanity=asked.sanity,
            progress=work.progress,
        )
        written.write(report, bundle, cohort, home / staged_stage.EVALUATION, predictor=predictor)
        audit_page.write(audit, home / staged_stage.AUDIT)
        rows = staged_rule.answered(report.table, facts)
        point = work.recipe.policy.operating_point
        told = {
            "stage": stage.candidate.name,
            **staged_stage.summary(audit, report, bundle),
            "primary": staged_rule.primary_figure(work.primary, rows, point, asked.replicates, asked.seed),
            "headline": report.headline,
            "optimistic": list(report.optimistic),
            "looks": report.looks.sentence if report.looks else "No look was counted.",
            "findings": len(audit.findings),
        }
        write_json(home / TESTED, plain(told))
    found: dict[str, Any] = json.loads((home / TESTED).read_text(encoding="utf-8"))
    if found["bundle"] != bundle.id:
        raise UsageError(
            f"The test split was looked at with another bundle ({found['bundle']}, of stage '{found['stage']}') than "
            f"the rule chooses now; nothing is chosen after a test, so give another --out."
        )
    kept = pd.read_parquet(home / staged_stage.EVALUATION / "cases.parquet")
    return found, staged_rule.answered(kept, facts)


def _held(
    work: Work,
    plan: Mapping[str, Any],
    stages: Mapping[str, Stage],
    skipped: str,
    changes: Mapping[str, Change],
    found: Sequence[Standing],
    told: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of the whole, from which the page is made."""
    recipe, target = work.recipe, work.recipe.target
    rows: list[dict[str, Any]] = []
    for standing, (name, one) in zip(found, stages.items(), strict=True):
        rows.append(
            {
                **one.record,
                "title": one.candidate.title,
                "before": one.candidate.before,
                "patients": len(one.answered.keys),
                "change": plain(changes[name]) if name in changes else None,
                "standing": plain(standing),
            }
        )
    held: dict[str, Any] = plain(
        {
            "kind": "staged audit",
            "schema": 1,
            "limits": LIMITS,
            "question": recipe.question,
            "recipe": recipe.name,
            "positive": target.positive,
            "operating_point": recipe.policy.operating_point.model_dump(mode="json", exclude_defaults=True),
            "own_dropout": recipe.model.dropout,
            "plan": dict(plan),
            "stages": rows,
            "skipped": skipped,
            "chosen": told["stage"],
            "test": dict(told),
            "origin": record(),
        }
    )
    return held
