"""Projects: the groups of patients that people are let into."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from insula.serve.faults import RequestError
from insula.serve.people.user import find as find_user
from insula.serve.store.schema import members, new_id, projects, studies


@dataclass(frozen=True)
class Project:
    """One project; seq: its place in the order in which they came."""

    seq: int
    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True)
class Counts:
    """How many people and studies are in a project."""

    members: int = 0
    studies: int = 0


def create(connection: Connection, name: str, now: datetime) -> Project:
    """A new project. Raises RequestError 422 for no name, 409 for one that is taken."""
    title = title_of(name)
    project_id = new_id()
    try:
        with connection.begin_nested():
            connection.execute(insert(projects).values(id=project_id, name=title, created_at=now))
    except IntegrityError as error:
        raise _taken(title) from error
    return find(connection, project_id)


def rename(connection: Connection, project_id: str, name: str) -> Project:
    """Give a project another name. Raises RequestError as `create` and `find` do."""
    find(connection, project_id)
    title = title_of(name)
    try:
        with connection.begin_nested():
            connection.execute(update(projects).where(projects.c.id == project_id).values(name=title))
    except IntegrityError as error:
        raise _taken(title) from error
    return find(connection, project_id)


def find(connection: Connection, project_id: str) -> Project:
    """One project by its id. Raises RequestError 404."""
    row = connection.execute(select(*_COLUMNS).where(projects.c.id == project_id)).one_or_none()
    if row is None:
        raise RequestError(
            404, "no_project", f"There is no project '{project_id[:40]}'; list the projects for their ids."
        )
    return Project(*row)


def named(connection: Connection, name: str) -> Project:
    """One project by its name. Raises RequestError 404."""
    row = connection.execute(select(*_COLUMNS).where(projects.c.name == title_of(name))).one_or_none()
    if row is None:
        raise RequestError(404, "no_project", f"There is no project '{name[:120]}'; an administrator makes projects.")
    return Project(*row)


def page(connection: Connection, after: int = 0, limit: int = 50, only: Iterable[str] | None = None) -> list[Project]:
    """The projects that came after one, in order; only: of these ids."""
    wanted = select(*_COLUMNS).where(projects.c.seq > after).order_by(projects.c.seq).limit(limit)
    if only is not None:
        wanted = wanted.where(projects.c.id.in_(sorted(only)))
    return [Project(*row) for row in connection.execute(wanted)]


def every(connection: Connection) -> list[Project]:
    """All projects by their names, to choose from."""
    return [Project(*row) for row in connection.execute(select(*_COLUMNS).order_by(projects.c.name))]


def counts(connection: Connection, project_ids: Collection[str]) -> Mapping[str, Counts]:
    """What is in each of the projects, by two statements however many they are."""
    inside, held = (_in_each(connection, table, project_ids) for table in (members, studies))
    return {one: Counts(inside.get(one, 0), held.get(one, 0)) for one in project_ids}


def _in_each(connection: Connection, table: Table, project_ids: Collection[str]) -> dict[str, int]:
    rows = select(table.c.project_id, func.count()).where(table.c.project_id.in_(sorted(project_ids)))
    return {row[0]: row[1] for row in connection.execute(rows.group_by(table.c.project_id))}


def let_in(connection: Connection, project_id: str, user_id: str, now: datetime) -> bool:
    """Put a user into a project; False for one who was there. Raises RequestError 404 as the two `find` do."""
    find(connection, project_id)
    find_user(connection, user_id)
    try:
        with connection.begin_nested():
            connection.execute(insert(members).values(user_id=user_id, project_id=project_id, created_at=now))
    except IntegrityError:  # by another request in between, too
        return False
    return True


def take_out(connection: Connection, project_id: str, user_id: str) -> bool:
    """Take a user out of a project; False for one who was not there. Raises RequestError 404 without the project."""
    find(connection, project_id)
    rule = (members.c.project_id == project_id, members.c.user_id == user_id)
    return connection.execute(delete(members).where(*rule)).rowcount > 0


def ids_of(connection: Connection, user_id: str) -> frozenset[str]:
    """The ids of the projects that a user is in."""
    return frozenset(connection.execute(select(members.c.project_id).where(members.c.user_id == user_id)).scalars())


def title_of(name: str) -> str:
    """A project's name as it is kept. Raises RequestError 422 for an empty, too long or unprintable one."""
    title = " ".join(unicodedata.normalize("NFKC", name).split())
    if not 1 <= len(title) <= 120 or not title.isprintable():
        raise RequestError(422, "bad_name", f"A project's name has 1 to 120 printable characters, not {len(title)}.")
    return title


def _taken(title: str) -> RequestError:
    return RequestError(409, "name_taken", f"There is a project '{title}' already; take another name.")


_COLUMNS = (projects.c.seq, projects.c.id, projects.c.name, projects.c.created_at)
