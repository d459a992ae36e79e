"""Users: made, changed, given a password; there is always an administrator left."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from insula.serve.faults import RequestError
from insula.serve.people import keys, sessions
from insula.serve.people.passwords import check_password, hash_password
from insula.serve.people.roles import Role
from insula.serve.people.user import User, find, full_name_of, name_of
from insula.serve.store.schema import members, new_id, projects, users


def create(
    connection: Connection,
    name: str,
    role: Role,
    now: datetime,
    *,
    full_name: str = "",
    password: str | None = None,
    projects_in: Collection[str] = (),
    issuer: str | None = None,
    subject: str | None = None,
) -> User:
    """A new user, with a password or as somebody whom an issuer vouches for, or both; projects_in: ids.

    Raises RequestError 422 for a name, password or project that may not be, 409 for a name or person that is taken.
    """
    short, full = name_of(name), full_name_of(full_name)
    kept = None if password is None else hash_password(check_password(password, short, full))
    _check_subject(issuer, subject)
    user_id = new_id()
    values = {"id": user_id, "name": short, "full_name": full, "role": role, "created_at": now}
    values |= {"password_hash": kept, "password_set_at": None if kept is None else now}
    try:
        with connection.begin_nested():
            connection.execute(insert(users).values(**values, issuer=issuer, subject=subject))
    except IntegrityError as error:
        raise RequestError(
            409, "name_taken", f"There is a user '{short}', or one with the same subject, already; take another name."
        ) from error
    _put_into(connection, user_id, projects_in, now)
    return find(connection, user_id)


def change(
    connection: Connection,
    user_id: str,
    now: datetime,
    *,
    full_name: str | None = None,
    role: Role | None = None,
    active: bool | None = None,
    projects_in: Collection[str] | None = None,
) -> User:
    """Change what is given of a user. It counts from the next request on; deactivation ends sessions and keys.

    Raises RequestError 404 for an unknown user, 409 `last_admin` where nobody would be left to manage users, 422 for a
    value that may not be.
    """
    user = find(connection, user_id)
    values: dict[str, object] = {}
    if full_name is not None:
        values["full_name"] = full_name_of(full_name)
    if role is not None:
        values["role"] = role
    if active is not None:
        values["active"] = active
    if user.role == "admin" and user.active and (role not in (None, "admin") or active is False):
        _keep_an_admin(connection, user)
    if values:
        connection.execute(update(users).where(users.c.id == user_id).values(**values))
    if active is False:
        sessions.end_all(connection, user_id, now)
        keys.revoke_all(connection, user_id, now)
    if projects_in is not None:
        connection.execute(delete(members).where(members.c.user_id == user_id))
        _put_into(connection, user_id, projects_in, now)
    return find(connection, user_id)


def set_password(connection: Connection, user_id: str, password: str, now: datetime, keep_session: str = "") -> None:
    """Give a user another password; ends a lock-out and every session but the one that is named. Keys stay.

    Whoever changes the own one shows the old one first: `log_in.confirm`. Raises RequestError 404 and 422.
    """
    user = find(connection, user_id)
    kept = hash_password(check_password(password, user.name, user.full_name))
    connection.execute(
        update(users)
        .where(users.c.id == user_id)
        .values(password_hash=kept, password_set_at=now, failed_logins=0, locked_until=None)
    )
    sessions.end_all(connection, user_id, now, but=keep_session)


def link(connection: Connection, user_id: str, issuer: str | None, subject: str | None) -> User:
    """Say who an issuer calls by which subject, or that none does any more. Raises RequestError 404, 409, 422."""
    find(connection, user_id)
    _check_subject(issuer, subject)
    try:
        with connection.begin_nested():
            connection.execute(update(users).where(users.c.id == user_id).values(issuer=issuer, subject=subject))
    except IntegrityError as error:
        raise RequestError(
            409, "subject_taken", "Another user is linked to that subject already; unlink that one first."
        ) from error
    return find(connection, user_id)


def _keep_an_admin(connection: Connection, leaving: User) -> None:
    """Refuse where no other active administrator is left who could log in.

    The rows are locked in one order, so that of two administrators who demote each other at once the second waits and
    then sees the first one gone. SQLite lets one writer in at a time and needs no lock on rows.
    """
    able = or_(users.c.password_hash.is_not(None), users.c.issuer.is_not(None))
    rule = (users.c.role == "admin", users.c.active.is_(True))
    admins = connection.execute(
        select(users.c.id, able.label("able")).where(*rule).order_by(users.c.seq).with_for_update()
    ).all()
    if not any(row.able for row in admins if row.id != leaving.id):
        raise RequestError(
            409,
            "last_admin",
            f"'{leaving.name}' is the last active administrator who can log in; make another one first.",
        )


def _put_into(connection: Connection, user_id: str, wanted: Collection[str], now: datetime) -> None:
    ids = sorted(set(wanted))
    known = set(connection.execute(select(projects.c.id).where(projects.c.id.in_(ids))).scalars())
    unknown = [project_id for project_id in ids if project_id not in known]
    if unknown:
        raise RequestError(
            422, "no_project", f"There is no project '{unknown[0][:40]}'; list the projects for their ids."
        )
    if ids:
        connection.execute(insert(members), [{"user_id": user_id, "project_id": i, "created_at": now} for i in ids])


def _check_subject(issuer: str | None, subject: str | None) -> None:
    if bool(issuer) != bool(subject) or len(issuer or "") > 400 or len(subject or "") > 255:
        raise RequestError(
            422, "bad_subject", "An issuer and a subject stand together, of 400 and 255 characters at most."
        )
