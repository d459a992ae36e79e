"""Which rows a caller may see: the one condition that every query for patients' data carries.

A study, and what hangs on it, is seen by the members of its project, and for an hour by somebody who broke the glass of
that one study. No role sees patients by itself: an administrator manages people and projects, and to see the patients
of a project enters it like anybody else, which the trail then shows. Break-glass shows and does not let write: uploads,
reviews and erasure ask `require_project`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, or_, select

from insula.serve.faults import RequestError
from insula.serve.people.caller import Caller
from insula.serve.store.schema import patients, studies


def visible(caller: Caller, project: ColumnElement[Any], study: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition for rows of any table with a project's id and a study's: `predictions`, `jobs`, joined ones.

    A caller without an open glass, which is nearly every one, gets a condition on the project alone: the indexes on
    `project_id` serve it.
    """
    inside = project.in_(sorted(caller.projects))
    return or_(inside, study.in_(sorted(caller.opened))) if caller.opened else inside


def rows_of(caller: Caller, table: Table) -> Collection[str] | ColumnElement[bool]:
    """The same for the pages of `store.paging`: ids of projects, merged there by index, or with open glass a condition.

    table: `studies`, or one with the columns `project_id` and `study_id`.
    """
    if not caller.opened:
        return caller.projects
    return visible(caller, table.c.project_id, table.c.id if table is studies else table.c.study_id)


def studies_of(caller: Caller) -> ColumnElement[bool]:
    """The condition for rows of `studies`."""
    return visible(caller, studies.c.project_id, studies.c.id)


def patients_of(caller: Caller) -> ColumnElement[bool]:
    """The condition for rows of `patients`: of one's projects, or with a study of which the glass is broken."""
    inside = patients.c.project_id.in_(sorted(caller.projects))
    if not caller.opened:
        return inside
    seen = select(studies.c.patient_id).where(studies.c.id.in_(sorted(caller.opened)))
    return or_(inside, patients.c.id.in_(seen))


def require_study(connection: Connection, caller: Caller, study_id: str) -> str:
    """The project of a study that the caller may see.

    Raises RequestError 404 for one that is not there and for one of others alike.
    """
    found = connection.execute(
        select(studies.c.project_id).where(studies.c.id == study_id, studies_of(caller))
    ).scalar()
    if found is None:
        raise RequestError(404, "no_study", f"There is no study '{study_id[:40]}' among those that you may see.")
    return str(found)


def require_project(caller: Caller, project_id: str) -> None:
    """Refuse to work in a project that is not the caller's. Raises RequestError 404, whether it is there or not."""
    if project_id not in caller.projects:
        said = f"There is no project '{project_id[:40]}' among yours; give a project's id, not its name: "
        raise RequestError(404, "no_project", f"{said}GET /api/v1/projects lists yours.")
