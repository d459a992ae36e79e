"""The job that makes a whole study from the network a study of the records, and has it predicted as the rules say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from insula.core import scratch
from insula.core.errors import InsulaError
from insula.scans import catalogue
from insula.scans.catalogue import Entry
from insula.serve import intake, one_patient
from insula.serve.faults import RequestError, fault, status_of
from insula.serve.jobs import predict_study, queue
from insula.serve.jobs.arms import arms_for
from insula.serve.jobs.queue import Job, Wanted
from insula.serve.jobs.worker import Cancelled, GivenUpError, Handler, Progress, Write
from insula.serve.model import LIMITS
from insula.serve.models import choose as models
from insula.serve.pacs.chosen import Chosen, Order, by_role, choose, orders
from insula.serve.pacs.identity import seal_of
from insula.serve.pacs.named import Named, named
from insula.serve.pacs.rules import read_rules
from insula.serve.pacs.series import series_of
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.whole import MOST_ATTEMPTS, TAKE
from insula.serve.service import Service
from insula.serve.store import patients, schema, studies
from insula.serve.store.connect import reading
from insula.serve.store.files import Stored
from insula.serve.upload import mend

KIND: Final = TAKE


@dataclass(frozen=True)
class _Read:
    """What was found in a study's objects. there: the study of the records that they belong to already, if any.

    new: stored objects that it has not yet, with the names they are shown under.
    """

    chosen: Chosen
    there: str | None
    role: str
    new: tuple[tuple[str, Stored], ...]
    facts: Mapping[str, Any]
    entries: tuple[Entry, ...]
    person: Named


def handler(service: Service, settings: PacsSettings) -> Handler:
    """The handler of these jobs. Raises UsageError for rules that cannot be read."""
    rules, seal = read_rules(settings.rules), seal_of(settings)

    def take(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        name, generation = str(job.payload["pacs_study"]), int(job.payload["generation"])
        with reading(service.records) as connection:
            study = _study(connection, name)
            if study is None or study.generation != generation:
                return lambda _: {"stale": True}
            where = None if study.study_id is None else _project_of(connection, study.study_id)
            chosen = choose(rules, series_of(connection, name, seal), where)
            before = [] if study.study_id is None else studies.files_of(connection, study.study_id)
        if chosen is None:
            return lambda connection: _settle(connection, name, generation, "unrouted")
        report(0.1, "reading the scans")
        found = _read(service, study.study_id, chosen, before, cancelled)
        report(0.9, "storing")
        same = bool(job.payload.get("same_patient"))
        return lambda connection: _write(service, connection, name, generation, found, same)

    return take


def _study(connection: Connection, pacs_study: str, lock: bool = False) -> Row[Any] | None:
    this = select(schema.pacs_studies).where(schema.pacs_studies.c.id == pacs_study)
    return connection.execute(this.with_for_update() if lock else this).first()


def _project_of(connection: Connection, study_id: str) -> str:
    """The name of the project that a study of the records lies in."""
    projects, there = schema.projects, schema.studies.c
    wanted = select(projects.c.name).join(schema.studies, there.project_id == projects.c.id)
    return str(connection.execute(wanted.where(there.id == study_id)).scalar_one())


def _read(
    service: Service,
    there: str | None,
    chosen: Chosen,
    before: Sequence[studies.StudyFile],
    cancelled: Cancelled,
) -> _Read:
    """Look at all that the study will have: its headers here, its pictures in the sandbox."""
    mine = dict(file for one, _ in chosen.series for file in one.files)
    role = next((one.role for one in before if one.sha256 in mine), studies.SORTED)
    kept = [one for one in before if one.role == role]
    known = {one.sha256 for one in kept}
    new = [(sha256, size) for sha256, size in mine.items() if sha256 not in known]
    shown = [f"{number:05d}.dcm" for number in range(len(kept) + 1, len(kept) + len(new) + 1)]
    with scratch.folder() as home:
        paths = []
        for number, sha256 in enumerate([*(one.sha256 for one in kept), *(sha256 for sha256, _ in new)]):
            if cancelled():
                raise GivenUpError
            paths.append(home / f"{number:05d}")
            service.files.fetch(sha256, paths[-1])
        try:
            person = named(paths)
            facts = intake.describe(home, paths)
            entries = catalogue.entries(paths, "the study", LIMITS)
        except InsulaError as error:
            mend(error, home)
            raise
    stored = tuple((name, Stored(*one)) for name, one in zip(shown, new, strict=True))
    taken = intake.Intake((), {role: facts}, person.id)
    whole = one_patient.facts_with(taken, service.key, person.families, person.born)
    return _Read(chosen, there, role, stored, whole, entries, person)


def _write(
    service: Service, connection: Connection, name: str, generation: int, found: _Read, same: bool
) -> dict[str, Any]:
    """Keep what was read. same: whether somebody has said that it is the patient who lies under that key."""
    row = _study(connection, name, lock=True)
    if row is None or row.generation != generation:
        return {"stale": True}
    if row.study_id != found.there:
        raise RequestError(503, "joined", "The study was joined with another while it was read; it is read anew.")
    study = studies.get(connection, found.there or _made(connection, row, found, same), None)
    if found.there is not None:
        one_patient.check(connection, study.patient_id, found.facts, same)
        studies.set_facts(connection, study.id, found.facts)
    studies.add_files(connection, service.files, study.id, found.role, found.new)
    told = {"pacs_study": name, "generation": generation, "files": len(found.new)}
    service.tell(connection, f"pacs:{row.source}", "pacs.take", study.id, told)
    errors: list[InsulaError] = []
    for order in orders(found.chosen):
        if not _has_new(order, found) and _asked(connection, row, order.model):
            continue
        try:
            _predict(service, connection, row, study, order, found)
        except InsulaError as error:
            if status_of(error) >= 500:
                raise
            errors.append(error)  # the study is kept: its model may come later, or somebody asks for another
    told_of = fault(errors[0]) if errors else None
    return _settle(connection, name, generation, "failed" if errors else "taken", study, told_of)


def _made(connection: Connection, row: Row[Any], found: _Read, same: bool) -> str:
    """A new study of the records."""
    projects = schema.projects.c
    project = connection.execute(select(projects.id).where(projects.name == found.chosen.project)).scalar()
    if project is None:
        raise RequestError(
            404,
            "no_project",
            f"There is no project '{found.chosen.project}', which the rules name; an administrator makes it.",
        )
    key = found.person.key or f"no-id-{row.id[:12]}"  # in an emergency a patient has none: not one with all others
    patient = patients.get_or_create(connection, project, key, found.person.name)
    one_patient.check(connection, patient, found.facts, same)
    return studies.create(connection, patient, None, row.description, "", {}, found.facts)


def _has_new(order: Order, found: _Read) -> bool:
    """Whether something came of the series that a model is to look at."""
    new = {stored.sha256 for _, stored in found.new}
    series = (one for one, _ in found.chosen.series if one.uid in order.series)
    return any(sha256 in new for one in series for sha256, _ in one.files)


def _predict(
    service: Service, connection: Connection, row: Row[Any], study: studies.Study, order: Order, found: _Read
) -> None:
    """Put the job that predicts, in place of one for an earlier generation that nobody has begun."""
    arms = arms_for(connection, order.model, study.patient_id, service.key)
    recipe = models.recipe_of(models.get(connection, arms[0].bundle_id))
    content = predict_study.payload(arms, by_role(order, recipe.inputs, found.entries), {}, order.uncertainty)
    if order.peers:
        content["send"] = {"peers": list(order.peers), "objects": list(order.objects)}
    jobs, at = schema.jobs, schema.now()
    old = (jobs.c.unique_key.in_(_keys(row, order.model, row.generation - 1)), jobs.c.state == "waiting")
    connection.execute(update(jobs).where(*old).values(state="cancelled", ended_at=at))
    key = _keys(row, order.model, row.generation)[-1]
    about = {"project_id": study.project_id, "study_id": study.id}
    wanted = Wanted(predict_study.KIND, content, key, **about, most_attempts=MOST_ATTEMPTS)
    queue.put(connection, wanted, at)


def _asked(connection: Connection, row: Row[Any], model: str) -> bool:
    """Whether a model was asked about this study before, and answered or will."""
    jobs = schema.jobs.c
    good = (jobs.unique_key.in_(_keys(row, model, row.generation)), jobs.state.in_(("waiting", "running", "done")))
    return connection.execute(select(jobs.id).where(*good).limit(1)).first() is not None


def _keys(row: Row[Any], model: str, last: int) -> list[str]:
    return [f"pacs-predict-{row.id}-{generation}-{model}" for generation in range(1, last + 1)]


def _settle(
    connection: Connection,
    name: str,
    generation: int,
    state: str,
    study: studies.Study | None = None,
    error: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Say how far a study is, unless objects of it came in the meantime: then it will be whole once more."""
    table = schema.pacs_studies
    this = (table.c.id == name, table.c.generation == generation)
    if study is not None:
        ours = {"project_id": study.project_id, "study_id": study.id}
        connection.execute(update(table).where(*this).values(ours))
    values = {"state": state, "error": None if error is None else dict(error)}
    connection.execute(update(table).where(*this, table.c.state == "whole").values(values))
    return {"state": state, "study": None if study is None else study.id}
