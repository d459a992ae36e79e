"""Everything about an evaluation but the figures: the plan before, the guards and what stands beside them after."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from insula.core import provenance
from insula.core.recipe import OperatingPoint
from insula.core.types import Case, Cohort
from insula.evaluate import chance, files, guards, looks, marks, near, plan, readers, site, trivial, tuned
from insula.evaluate.evidence import Baselines, Guard, Looks, Plan
from insula.evaluate.facts import Facts
from insula.evaluate.files import Hashes
from insula.evaluate.headline import headline
from insula.evaluate.known import Known
from insula.evaluate.looks import Places
from insula.evaluate.marks import Marks
from insula.evaluate.outcome import EvaluationReport, plain
from insula.evaluate.pictures import Pictures, Progress, evenly, gather
from insula.evaluate.readers import Answers
from insula.evaluate.table import Sample, by_patient, sample


@dataclass(frozen=True)
class Asked:
    """What is asked for beside the figures.

    thresholds: class → threshold in place of the bundle's own. record: the file that counts looks (`looks.beside`), and
    register: the user's own (`looks.register`). later: tell the look without counting it, since the caller does
    (`looks.count`) once there is something to be seen. plan: where the plan is written as JSON. together: model →
    thresholds of all that are judged in one look, where these are several; looks: that look, where another of them has
    been judged already. readers: their answers. baselines: fit trivial models on the cohort's training cases. without:
    attributes that these must not see. reading: shows progress while pictures are read.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    record: Path | None = None
    register: Path | None = None
    later: bool = False
    plan: Path | None = None
    together: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    looks: Looks | None = None
    readers: Answers | None = None
    baselines: bool = False
    without: Collection[str] = ()
    reading: Progress | None = None

    @property
    def places(self) -> Places | None:
        """Where the look is counted; None where it is not."""
        return Places(self.record, self.register) if self.record else None


@dataclass(frozen=True, eq=False)
class Ground:
    """One evaluation before its predictions. known: what the bundle tells; None where no model is at hand.

    own: the thresholds that the bundle holds. aims: its operating point. hashes: SHA-256 of the cases' files.
    """

    facts: Facts
    cohort: Cohort
    cases: tuple[Case, ...]
    split: str
    known: Known | None
    own: Mapping[str, float]
    aims: tuple[OperatingPoint, ...]
    asked: Asked
    hashes: Hashes
    plan: Plan
    marks: Marks


def lay(
    facts: Facts,
    cohort: Cohort,
    cases: Sequence[Case],
    split: str,
    known: Known | None,
    own: Mapping[str, float],
    aims: Sequence[OperatingPoint],
    model: str,
    replicates: int,
    asked: Asked,
) -> Ground:
    """Hash the cases and write the plan down; nothing has been predicted yet.

    All that was given is checked before: what is refused leaves neither plan nor look. Raises EvaluationError.
    """
    if asked.readers:
        readers.check(asked.readers, facts, [case.key for case in cases])
    hashes = files.hashes(cases, Path(cohort.root)) if cohort.root else {}
    made = plan.make(cases, facts, hashes, split, asked.together or {model: facts.thresholds}, replicates)
    here = marks.of(cases, facts, hashes)
    if asked.places:
        made = looks.plan(asked.places, made, here)
    if asked.plan:
        provenance.write_json(asked.plan, plain(made))
    return Ground(facts, cohort, tuple(cases), split, known, own, tuple(aims), asked, hashes, made, here)


def finish(report: EvaluationReport, ground: Ground) -> EvaluationReport:
    """The report with its guards, looks, site, trivial models, readers and what chance gives; headline accordingly.

    The look is counted here, last, when there is something to be seen.
    """
    facts, asked = ground.facts, ground.asked
    rows, _ = by_patient(sample(report.table, facts), facts)
    here, trained = _pictures(ground)
    k = facts.positive_index
    found = _guards(ground, report, rows, here, trained)
    beside = replace(
        report,
        site=site.standing(ground.known, ground.cases),
        baselines=_baselines(ground, report, rows, here, trained) if asked.baselines else None,
        permutation=chance.permutation(rows.y[:, k], rows.p[:, k], seed=facts.seed),
        readers=readers.judge(report.table, facts, asked.readers, report.patient.replicates) if asked.readers else None,
    )
    unread = readers.unmatched(asked.readers, report.table["case"].astype(str)) if asked.readers else ()
    seen = _counted(ground)
    found = (*found, looks.guard(seen))
    optimistic = (*report.optimistic, *guards.reasons(found))
    return replace(
        beside,
        guards=found,
        optimistic=optimistic,
        headline=headline(facts, report.patient, optimistic),
        notes=(*unread, *guards.open_questions(found if asked.record else found[:-1]), *report.notes),
        looks=seen,
    )


def _counted(ground: Ground) -> Looks | None:
    asked = ground.asked
    if asked.looks or asked.places is None:
        return asked.looks
    told = looks.preview if asked.later else looks.look
    return told(asked.places, ground.plan, ground.marks)


def _pictures(ground: Ground) -> tuple[Pictures | None, Pictures | None]:
    """Pictures of the judged cases and of the training cases, where somebody looks at them."""
    known, root = ground.known, Path(ground.cohort.root)
    wanted = bool(known and known.pictures) or ground.asked.baselines
    if not ground.cohort.root or not wanted:
        return None, None
    here = gather(ground.cases, root, ground.asked.reading)
    mine = {case.key for case in ground.cases}
    train = [
        case for case in ground.cohort.of_split("train") if ground.facts.target in case.labels and case.key not in mine
    ]
    if not ground.asked.baselines or not train:
        return here, None
    return here, gather(evenly(train, trivial.MOST, ground.facts.seed), root, ground.asked.reading)


def _guards(
    ground: Ground, report: EvaluationReport, rows: Sample, here: Pictures | None, trained: Pictures | None
) -> tuple[Guard, ...]:
    facts, known, k = ground.facts, ground.known, ground.facts.positive_index
    y, p, given = rows.y[:, k], rows.p[:, k], ground.asked.thresholds
    if known is None:
        unknown = "no model is at hand, so nothing tells what it was trained on"
        told = tuple(Guard(name, "cannot tell", unknown) for name in ("patients", "files", "pictures"))
        split = guards.split_guard(ground.cohort, ground.cases, ground.split)
        return (*((split,) if split.verdict == "fail" else ()), *told, tuned.foreign(given, y, p, facts.positive))
    instead = near.of_prints(trained.found) if trained and known.pictures is None else None
    found = guards.check(known, ground.cohort, ground.cases, ground.split, ground.hashes, here, instead)
    other = None
    if facts.positive in given:
        own = float(ground.own.get(facts.positive, 0.5))
        other = tuned.replaced(own, facts.threshold(facts.positive), y, p, ground.aims, facts.positive)
    found = (*found, other or tuned.stored(known, ground.cases))
    return (*found, chance.guard(report.positive.figures["roc_auc"])) if known.shuffled else found


def _baselines(
    ground: Ground, report: EvaluationReport, rows: Sample, here: Pictures | None, trained: Pictures | None
) -> Baselines:
    facts, k = ground.facts, ground.facts.positive_index
    judged = trivial.Judged(
        keys=rows.keys,
        y=rows.y[:, k],
        p=rows.p[:, k],
        roc_auc=report.positive.figures["roc_auc"],
        owner=dict(zip(report.table["case"], report.table["patient"], strict=True)),
    )
    labels = {name for case in ground.cohort.cases for name in case.labels}
    nothing = gather((), Path())
    without = {*labels, *ground.asked.without}
    return trivial.beside(judged, (facts.target, facts.positive), trained, here or nothing, without, facts.seed)
