"""A user as the records have one, and what a user's name may be."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, or_, select

from insula.serve.faults import RequestError
from insula.serve.people.common_passwords import folded
from insula.serve.people.roles import ROLES, Role
from insula.serve.store.schema import members, users

_BESIDE: Final = frozenset("._@+-")


@dataclass(frozen=True)
class User:
    """One user. projects: ids. has_password: whether a log-in by password is possible. issuer, subject: who a token's
    issuer calls so, both None for somebody who is known here alone. seq: the place in the order in which they came.
    """

    seq: int
    id: str
    name: str
    full_name: str
    role: Role
    active: bool
    created_at: datetime
    has_password: bool
    locked_until: datetime | None
    issuer: str | None
    subject: str | None
    projects: frozenset[str]


def name_of(text: str) -> str:
    """A user's name as it is kept: NFKC without case, letters, digits and `._@+-`, 120 at most.

    Raises RequestError 422 for any other.
    """
    name = folded(text.strip())
    fits = 1 <= len(name) <= 120 and unicodedata.category(name[0])[0] in "LN"
    if not fits or not all(c in _BESIDE or unicodedata.category(c)[0] in "LMN" for c in name):
        raise RequestError(
            422, "bad_name", "A user's name is 1 to 120 letters, digits and ._@+-, the first of them a letter or digit."
        )
    return name


def full_name_of(text: str) -> str:
    """A person's name as it is written. Raises RequestError 422 for a long or unprintable one."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if len(name) > 200 or not name.isprintable():
        raise RequestError(422, "bad_name", "A full name has 200 printable characters at most.")
    return name


def role_named(text: str) -> Role:
    """A role by its name. Raises RequestError 422."""
    for role in ROLES:
        if role == text:
            return role
    raise RequestError(422, "bad_role", f"There is no role '{text[:40]}'; the roles are {', '.join(ROLES)}.")


def find(connection: Connection, user_id: str) -> User:
    """One user by the id. Raises RequestError 404."""
    found = several(connection, _select().where(users.c.id == user_id))
    if not found:
        raise RequestError(404, "no_user", f"There is no user '{user_id[:40]}'; list the users for their ids.")
    return found[0]


def named(connection: Connection, name: str) -> User:
    """One user by the name. Raises RequestError 404, 422 for what is no name."""
    found = several(connection, _select().where(users.c.name == name_of(name)))
    if not found:
        raise RequestError(404, "no_user", f"There is no user '{name[:120]}'; list the users for their names.")
    return found[0]


def known_as(connection: Connection, issuer: str, subject: str) -> User | None:
    """The user whom an issuer calls so, None where there is none."""
    found = several(connection, _select().where(users.c.issuer == issuer, users.c.subject == subject))
    return found[0] if found else None


def page(
    connection: Connection,
    after: int = 0,
    limit: int = 50,
    role: Role | None = None,
    active: bool | None = None,
    *,
    text: str = "",
    project_id: str = "",
) -> list[User]:
    """The users who came after one (`User.seq`), in order, of one role, state or project where it is given.

    text: a part of the name or the full name, in any case (on SQLite: of ASCII letters).
    """
    wanted = _select().where(users.c.seq > after).order_by(users.c.seq).limit(limit)
    if role is not None:
        wanted = wanted.where(users.c.role == role)
    if active is not None:
        wanted = wanted.where(users.c.active.is_(active))
    if text:
        name, full = folded(text.strip()), unicodedata.normalize("NFC", text.strip())
        wanted = wanted.where(
            or_(users.c.name.contains(name, autoescape=True), users.c.full_name.icontains(full, autoescape=True))
        )
    if project_id:
        inside = select(members.c.user_id).where(members.c.project_id == project_id)
        wanted = wanted.where(users.c.id.in_(inside))
    return several(connection, wanted)


def names_of(connection: Connection, user_ids: Collection[str]) -> dict[str, str]:
    """The names of some users by their ids."""
    rows = connection.execute(select(users.c.id, users.c.name).where(users.c.id.in_(set(user_ids))))
    return {row.id: row.name for row in rows}


def several(connection: Connection, wanted: Select[Any]) -> list[User]:
    """The users of a query, with their projects, by two statements however many they are."""
    rows = connection.execute(wanted).all()
    inside = _projects(connection, [row.id for row in rows])
    return [
        User(
            row.seq,
            row.id,
            row.name,
            row.full_name,
            role_named(row.role),
            row.active,
            row.created_at,
            row.password_hash is not None,
            row.locked_until,
            row.issuer,
            row.subject,
            frozenset(inside.get(row.id, ())),
        )
        for row in rows
    ]


def _select() -> Select[Any]:
    return select(users)


def _projects(connection: Connection, user_ids: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for user_id, project_id in connection.execute(
        select(members.c.user_id, members.c.project_id).where(members.c.user_id.in_(user_ids))
    ):
        found.setdefault(user_id, []).append(project_id)
    return found
