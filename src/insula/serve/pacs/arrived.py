"""What came in over the network, as a person may see it: studies of one's projects, and those that are nobody's yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from insula.serve.people.caller import Caller
from insula.serve.store import schema
from insula.serve.store.paging import Page, checked_limit, paged
from insula.serve.store.patients import not_found

State = Literal["receiving", "whole", "taken", "unrouted", "failed"]
STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True)
class Arrived:
    """One study as it came. source: who sent it. description: of the study, from its headers.

    state: `receiving` while objects come, `whole` once it is quiet and waits to be taken, `taken` into the records,
    `unrouted` where no rule takes it, `failed` with an error. study_id: what was made of it. generation: how often it
    was whole. series, instances: how many of it are here.
    """

    seq: int
    id: str
    state: State
    created_at: datetime
    last_at: datetime
    source: str
    description: str
    project_id: str | None
    study_id: str | None
    generation: int
    error: Mapping[str, Any] | None
    series: int
    instances: int


def visible(caller: Caller) -> ColumnElement[bool]:
    """The condition for rows of `pacs_studies`: of the caller's projects; of none yet, for whoever manages projects.

    Until a rule has taken a study nobody can tell whose it is, and who sets up the rules has to see what they miss.
    """
    studies = schema.pacs_studies.c
    inside = studies.project_id.in_(sorted(caller.projects))
    return or_(inside, studies.project_id.is_(None)) if caller.may("project.manage") else inside


def page(
    connection: Connection, caller: Caller, state: State | None = None, before: int | None = None, limit: int = 50
) -> Page[Arrived]:
    """Studies that came in, the newest first. Raises RequestError for a wrong limit."""
    wanted, studies = checked_limit(limit) + 1, schema.pacs_studies
    where = [visible(caller)]
    where += [] if before is None else [studies.c.seq < before]
    where += [] if state is None else [studies.c.state == state]
    statement: Select[Any] = select(studies).where(*where).order_by(studies.c.seq.desc()).limit(wanted)
    rows = connection.execute(statement).all()
    return paged(_filled(connection, rows), [row.seq for row in rows], limit)


def get(connection: Connection, caller: Caller, pacs_study_id: str) -> Arrived:
    """One study that came in. Raises RequestError 404 where there is none that the caller may see."""
    these = (schema.pacs_studies.c.id == pacs_study_id, visible(caller))
    row = connection.execute(select(schema.pacs_studies).where(*these)).first()
    if row is None:
        raise not_found("received study")
    return _filled(connection, [row])[0]


def counts(connection: Connection, caller: Caller) -> Mapping[State, int]:
    """How many studies that the caller may see are in which state."""
    state = schema.pacs_studies.c.state
    rows = connection.execute(select(state, func.count()).where(visible(caller)).group_by(state)).all()
    found = {str(name): int(count) for name, count in rows}
    return {one: found.get(one, 0) for one in STATES}


def _filled(connection: Connection, rows: Sequence[Row[Any]]) -> list[Arrived]:
    series, instances = schema.pacs_series.c, schema.pacs_instances.c
    counted = (
        select(series.pacs_study_id, func.count(series.id.distinct()), func.count(instances.id))
        .select_from(schema.pacs_series.outerjoin(schema.pacs_instances, instances.pacs_series_id == series.id))
        .where(series.pacs_study_id.in_([row.id for row in rows]))
        .group_by(series.pacs_study_id)
    )
    how_many = {name: (int(a), int(b)) for name, a, b in connection.execute(counted)}
    return [_arrived(row, *how_many.get(row.id, (0, 0))) for row in rows]


def _arrived(row: Row[Any], series: int, instances: int) -> Arrived:
    plain = {name: getattr(row, name) for name in Arrived.__dataclass_fields__ if name not in ("series", "instances")}
    return Arrived(**plain, series=series, instances=instances)
