"""What came in over the network, as a person may see it: studies of one's projects, and those that are nobody's yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from insula.serve.pacs import delivered
from insula.serve.pacs.delivered import Delivery
from insula.serve.people.caller import Caller
from insula.serve.people.visible import rows_of
from insula.serve.store import schema, worklist
from insula.serve.store.paging import checked_limit
from insula.serve.store.patients import not_found
from insula.serve.store.worklist import Row as Case

State = Literal["receiving", "whole", "taken", "unrouted", "failed"]
STATES: Final[tuple[State, ...]] = get_args(State)
Place = tuple[datetime, int]  # of a row in the list: its last_at and seq


@dataclass(frozen=True)
class Arrived:
    """One study as it came. source: who sent it. description: of the study, from its headers.

    state: `receiving` while objects come, `whole` once it is quiet and waits to be taken, `taken` into the records,
    `unrouted` where no rule takes it, `failed` with an error. study_id: what was made of it. generation: how often it
    was whole. series, instances: how many of it are here. study_date: as 20260131. accession_number: for members of its
    project alone, as `case`: its row of the worklist, with the patient and the newest answer. sendings: of its answers.
    """

    seq: int
    id: str
    state: State
    created_at: datetime
    last_at: datetime
    source: str
    description: str
    study_date: str
    accession_number: str
    project_id: str | None
    study_id: str | None
    generation: int
    error: Mapping[str, Any] | None
    series: int
    instances: int
    modalities: tuple[str, ...]
    case: Case | None
    sendings: tuple[Delivery, ...]


@dataclass(frozen=True)
class Listed:
    """A page of what came in. before: what to give to get the next one, None on the last."""

    rows: tuple[Arrived, ...]
    before: Place | None


def visible(caller: Caller) -> ColumnElement[bool]:
    """The condition for rows of `pacs_studies`: of the caller's projects; of none yet, for whoever manages projects.

    Until a rule has taken a study nobody can tell whose it is, and who sets up the rules has to see what they miss.
    """
    studies = schema.pacs_studies.c
    inside = studies.project_id.in_(sorted(caller.projects))
    return or_(inside, studies.project_id.is_(None)) if caller.may("project.manage") else inside


def page(
    connection: Connection, caller: Caller, state: State | None = None, before: Place | None = None, limit: int = 50
) -> Listed:
    """Studies that came in, those first of which an object came last. Raises RequestError for a wrong limit.

    A study of which more comes meanwhile goes to the first page.
    """
    wanted, studies = checked_limit(limit) + 1, schema.pacs_studies.c
    where = [] if state is None else [studies.state == state]
    if before is not None:
        at, seq = before
        where.append(or_(studies.last_at < at, and_(studies.last_at == at, studies.seq < seq)))
    owners = [studies.project_id == one for one in sorted(caller.projects)]
    owners += [studies.project_id.is_(None)] if caller.may("project.manage") else []
    rows: list[Row[Any]] = []
    for owner in owners:  # each by itself: within one project an index has the rows in their order
        some = select(schema.pacs_studies).where(owner, *where).order_by(studies.last_at.desc(), studies.seq.desc())
        rows += connection.execute(some.limit(wanted)).all()
    rows.sort(key=_place, reverse=True)
    more = len(rows) > limit
    return Listed(tuple(_filled(connection, caller, rows[:limit])), _place(rows[limit - 1]) if more else None)


def get(connection: Connection, caller: Caller, pacs_study_id: str) -> Arrived:
    """One study that came in. Raises RequestError 404 where there is none that the caller may see."""
    these = (schema.pacs_studies.c.id == pacs_study_id, visible(caller))
    row = connection.execute(select(schema.pacs_studies).where(*these)).first()
    if row is None:
        raise not_found("received study")
    return _filled(connection, caller, [row])[0]


def source_of(connection: Connection, study_id: str) -> str:
    """Who first sent a study of the records over the network; "" for one that did not come so."""
    came = schema.pacs_studies.c
    first = select(came.source).where(came.study_id == study_id).order_by(came.seq).limit(1)
    return str(connection.execute(first).scalar() or "")


def counts(connection: Connection, caller: Caller) -> Mapping[State, int]:
    """How many studies that the caller may see are in which state."""
    state = schema.pacs_studies.c.state
    rows = connection.execute(select(state, func.count()).where(visible(caller)).group_by(state)).all()
    found = {str(name): int(count) for name, count in rows}
    return {one: found.get(one, 0) for one in STATES}


def _place(row: Row[Any]) -> Place:
    return row.last_at, row.seq


def _filled(connection: Connection, caller: Caller, rows: Sequence[Row[Any]]) -> list[Arrived]:
    series, instances = schema.pacs_series.c, schema.pacs_instances.c
    ids = [row.id for row in rows]
    counted = (
        select(series.pacs_study_id, func.count(series.id.distinct()), func.count(instances.id))
        .select_from(schema.pacs_series.outerjoin(schema.pacs_instances, instances.pacs_series_id == series.id))
        .where(series.pacs_study_id.in_(ids))
        .group_by(series.pacs_study_id)
    )
    how_many = {name: (int(a), int(b)) for name, a, b in connection.execute(counted)}
    kinds: dict[str, set[str]] = {}
    of_series = select(series.pacs_study_id, series.modality).where(series.pacs_study_id.in_(ids))
    for study, kind in connection.execute(of_series):
        kinds.setdefault(study, set()).add(kind)
    cases, sendings = _cases(connection, caller, rows)
    return [
        Arrived(
            **{name: getattr(row, name) for name in _PLAIN},
            accession_number=row.accession_number if row.project_id in caller.projects else "",
            series=how_many.get(row.id, (0, 0))[0],
            instances=how_many.get(row.id, (0, 0))[1],
            modalities=tuple(sorted(kinds.get(row.id, set()) - {""})),
            case=cases.get(row.study_id),
            sendings=sendings.get(row.study_id, ()) if row.study_id in cases else (),
        )
        for row in rows
    ]


def _cases(
    connection: Connection, caller: Caller, rows: Sequence[Row[Any]]
) -> tuple[dict[str, Case], dict[str, tuple[Delivery, ...]]]:
    """What became of rows of the caller's projects: their rows of the worklist, and the sendings, by study."""
    ids = {row.study_id for row in rows if row.study_id is not None and row.project_id in caller.projects}
    if not ids or not caller.may("study.read"):
        return {}, {}
    cases = {one.id: one for one in worklist.some(connection, rows_of(caller, schema.studies), ids)}
    return cases, delivered.of_studies(connection, list(cases))


_PLAIN: Final = (
    *("seq", "id", "state", "created_at", "last_at", "source", "description", "study_date", "project_id", "study_id"),
    *("generation", "error"),
)
