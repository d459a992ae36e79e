"""The worklist: studies with the state of their newest work, a page at a time, whatever the number of studies.

A page's studies are found first, along the index of a project; what hangs on them is looked up for these rows alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, and_, func, or_, select

from insula.serve.store import schema
from insula.serve.store.paging import Page, Visible, checked_limit, newest_first, seen
from insula.serve.store.said import sayer

State = Literal["new", "at_work", "failed", "answered", "referred", "rejected"]
Wanted = Literal["new", "at_work", "failed", "answered", "referred", "rejected", "unread"]
WANTED: Final[tuple[Wanted, ...]] = get_args(Wanted)
_OPEN, _LOST = ("waiting", "running"), ("failed", "dead")
_STATE_OF: Final[Mapping[str, State]] = {"accept": "answered", "refer": "referred", "reject": "rejected"}
_ACTION_OF: Final[Mapping[str, str]] = {state: action for action, state in _STATE_OF.items()}
_FEW, _SOME = 500, 5_000  # studies that are looked up one by one, and that are named at all: of more some are near


@dataclass(frozen=True)
class Filters:
    """What is wanted; None is everything. text: part of the patient's key or name, or of the title.

    state: of the newest job or prediction; `unread`: the newest prediction has no review. created_by: a user's id.
    """

    text: str = ""
    project_id: str | None = None
    state: Wanted | None = None
    created_by: str | None = None


@dataclass(frozen=True)
class Scan:
    """One scan of a study, as its files were read when they came."""

    modality: str
    slices: int


@dataclass(frozen=True)
class Work:
    """The newest job of a study. error: `code` and `message`, where it failed."""

    id: str
    state: str
    progress: float
    step: str
    error: Mapping[str, str] | None


@dataclass(frozen=True)
class Answer:
    """The newest prediction that may be shown. label: "" of a rejected scan; said: as people read it."""

    id: str
    created_at: datetime
    model_name: str
    bundle_id: str
    action: str
    label: str
    confidence: float
    reviewed: bool
    said: str = ""


@dataclass(frozen=True)
class Row:
    """One study. reviewed: its newest prediction is, or it was labelled without one.

    outdated: whether files came after that prediction, which does not know them.
    """

    id: str
    project_id: str
    project: str
    patient_id: str
    patient_key: str
    patient_name: str
    created_at: datetime
    title: str
    scans: tuple[Scan, ...]
    job: Work | None
    prediction: Answer | None
    reviewed: bool
    outdated: bool

    @property
    def state(self) -> State:
        """What is to be known of it first: work that goes on or failed, else its answer."""
        if self.job is not None and self.job.state in _OPEN:
            return "at_work"
        if self.job is not None and self.job.state in _LOST:
            return "failed"
        return _STATE_OF[self.prediction.action] if self.prediction is not None else "new"


def page(
    connection: Connection, visible: Visible, filters: Filters, before: int | None = None, limit: int = 50
) -> Page[Row]:
    """Studies that may be seen, newest first. Raises RequestError 422 for a wrong limit."""
    wanted = checked_limit(limit) + 1
    studies = schema.studies.c
    visible = _of_project(visible, filters.project_id)
    where = _conditions(connection, visible, filters)

    def statement(more: Sequence[ColumnElement[bool]]) -> Select[Any]:
        return select(studies.seq, studies.id).where(*more, *where)

    found = newest_first(connection, statement, schema.studies, visible, before, wanted)
    rows = _rows(connection, [str(row.id) for row in found[:limit]])
    return Page(tuple(rows), int(found[limit - 1].seq) if len(found) > limit else None)


def some(connection: Connection, visible: Visible, study_ids: Collection[str]) -> list[Row]:
    """Those of the named studies that may be seen, newest first."""
    studies = schema.studies
    these = select(studies.c.id).where(studies.c.id.in_(study_ids), *seen(visible, studies))
    return _rows(connection, list(connection.scalars(these.order_by(studies.c.seq.desc()))))


def _of_project(visible: Visible, project_id: str | None) -> Visible:
    """What may be seen of one project, where one is wanted."""
    if project_id is None:
        return visible
    if isinstance(visible, ColumnElement):
        return and_(visible, schema.studies.c.project_id == project_id)
    return {project_id} if visible is None or project_id in visible else set()


def _conditions(connection: Connection, visible: Visible, filters: Filters) -> list[ColumnElement[bool]]:
    studies = schema.studies.c
    where: list[ColumnElement[bool]] = []
    if filters.created_by is not None:
        where.append(studies.created_by == filters.created_by)
    if filters.state is not None:
        where += _of_state(connection, visible, filters.state)
    if filters.text.strip():
        where.append(_holding(connection, visible, filters.text.strip()))
    return where


def _holding(connection: Connection, visible: Visible, text: str) -> ColumnElement[bool]:
    """A text in the title, or in the key or name of the patient; small letters are as good as capitals."""
    patients, studies = schema.patients.c, schema.studies.c
    within = _within(visible, schema.patients)
    # SQLite's LIKE takes small for capital letters by itself (ASCII), at half the time of lower()
    sqlite = connection.dialect.name == "sqlite"

    def holds(column: Column[Any]) -> ColumnElement[bool]:
        return (column.contains if sqlite else column.icontains)(text, autoescape=True)

    of_patients = select(patients.id).where(or_(holds(patients.key), holds(patients.name)), *within)
    found = connection.scalars(of_patients.limit(_SOME + 1)).all()  # once, not for each project anew
    return or_(holds(studies.title), studies.patient_id.in_(of_patients if len(found) > _SOME else found))


def _of_state(connection: Connection, visible: Visible, state: Wanted) -> list[ColumnElement[bool]]:
    jobs, predictions = schema.jobs.c, schema.predictions.c
    if state == "new":
        last = func.coalesce(_newest(jobs.state), "none")
        return [_newest(predictions.action).is_(None), last.not_in((*_OPEN, *_LOST))]
    if state in ("at_work", "failed"):
        states = _OPEN if state == "at_work" else _LOST
        return [*_among(connection, jobs.study_id, [jobs.state.in_(states)]), _newest(jobs.state).in_(states)]
    column, value = (predictions.reviewed, False) if state == "unread" else (predictions.action, _ACTION_OF[state])
    near = [column == value, predictions.arm != "shadow", *_within(visible, schema.predictions)]
    return [*_among(connection, predictions.study_id, near), _newest(column) == value]


def _within(visible: Visible, table: Table) -> list[ColumnElement[bool]]:
    """The projects that may be seen, for another table than that of studies; a condition is about studies alone."""
    return [] if isinstance(visible, ColumnElement) else seen(visible, table)


def _shown(table: Table) -> list[ColumnElement[bool]]:
    """Predictions that people see, and jobs whose state is that of the study: an answer that is sent is there."""
    return [table.c.arm != "shadow"] if table is schema.predictions else [table.c.kind != "pacs_send"]


def _newest(column: Column[Any]) -> Any:
    """A column of the newest job or shown prediction of a study, as a part of a query for studies."""
    table = column.table
    shown = _shown(table)
    found = select(column).where(table.c.study_id == schema.studies.c.id, *shown)
    return found.order_by(table.c.seq.desc()).limit(1).correlate(schema.studies).scalar_subquery()


def _among(
    connection: Connection, study_id: Column[Any], where: Sequence[ColumnElement[bool]]
) -> list[ColumnElement[bool]]:
    """A condition that names the studies which come into question, where these are few; none where they are many."""
    studies = schema.studies.c
    found = connection.scalars(select(study_id).where(*where).limit(_SOME + 1)).all()
    if len(found) > _SOME:
        return []
    if len(found) > _FEW:
        return [studies.id.in_(found)]  # all studies are gone through, which costs less than so many look-ups
    return [studies.seq.in_(connection.scalars(select(studies.seq).where(studies.id.in_(found))).all())]


def _rows(connection: Connection, ids: Sequence[str]) -> list[Row]:
    """The rows of some studies, in their order."""
    if not ids:
        return []
    studies, patients, projects = schema.studies, schema.patients, schema.projects
    columns: list[Any] = [
        studies.c[name] for name in ("id", "project_id", "patient_id", "created_at", "title", "facts")
    ]
    columns += [patients.c.key.label("patient_key"), patients.c.name.label("patient_name")]
    joined = studies.join(patients, studies.c.patient_id == patients.c.id)
    joined = joined.join(projects, studies.c.project_id == projects.c.id)
    these = select(*columns, projects.c.name.label("project")).select_from(joined).where(studies.c.id.in_(ids))
    jobs = {row.study_id: _made(Work, row) for row in _last(connection, schema.jobs, ids)}
    answers = _answers(connection, ids)
    reviews = schema.reviews.c
    labelled = select(reviews.study_id).where(reviews.study_id.in_(ids), reviews.replaced_by.is_(None)).distinct()
    read = set(connection.scalars(labelled))
    files = schema.files.c
    latest = select(files.study_id, func.max(files.created_at)).where(files.study_id.in_(ids)).group_by(files.study_id)
    added: dict[str, datetime] = {str(study): at for study, at in connection.execute(latest)}
    found = {}
    for row in connection.execute(these).mappings():
        plain = dict(row)
        scans, answer = scans_in(plain.pop("facts")), answers.get(row["id"])
        reviewed = answer.reviewed if answer is not None else row["id"] in read
        outdated = answer is not None and row["id"] in added and added[row["id"]] > answer.created_at
        work = jobs.get(row["id"])
        found[row["id"]] = Row(**plain, scans=scans, job=work, prediction=answer, reviewed=reviewed, outdated=outdated)
    return [found[one] for one in ids if one in found]


def _answers(connection: Connection, ids: Sequence[str]) -> dict[str, Answer]:
    """The newest answer of each study that has one."""
    found = {row.study_id: _made(Answer, row) for row in _last(connection, schema.predictions, ids)}
    say = sayer(connection, {one.bundle_id for one in found.values()})
    return {study: replace(one, said=say(one.bundle_id, one.label)) for study, one in found.items()}


def _last(connection: Connection, table: Table, ids: Sequence[str]) -> list[Any]:
    """The newest row of a table for each of some studies."""
    shown = _shown(table)
    newest: Select[Any] = select(func.max(table.c.seq)).where(table.c.study_id.in_(ids), *shown)
    names = (Answer if table is schema.predictions else Work).__dataclass_fields__
    columns = [table.c.study_id, *(table.c[name] for name in names if name in table.c)]
    return list(connection.execute(select(*columns).where(table.c.seq.in_(newest.group_by(table.c.study_id)))))


def _made(kind: type[Any], row: Any) -> Any:
    return kind(**{name: getattr(row, name) for name in kind.__dataclass_fields__ if name in row._fields})


def scans_in(facts: Mapping[str, Any]) -> tuple[Scan, ...]:
    """The scans that a study's facts tell of, in their order."""
    return tuple(
        Scan(str(one.get("modality", "")), int(one.get("slices", 0)))
        for role in facts.values()
        for one in role.get("scans", ())
    )
