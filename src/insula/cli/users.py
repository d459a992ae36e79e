"""`insula users`: the people of the service and their API keys, from the machine that keeps the records."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from insula.cli.account import account
from insula.cli.output import emit, json_option
from insula.serve.people.roles import PERMISSIONS, ROLES, Role

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from insula.serve.people.user import User
    from insula.serve.settings import Settings

_VARIABLE = "INSULA_NEW_PASSWORD"


@click.group()
def users() -> None:
    """Make and change the people of the service, and their API keys.

    INSULA_DATABASE says where the records lie, and INSULA_TRAIL_KEY is the secret of the trail in which each change is
    told. Whoever can set these two may do anything here; nobody is asked for an administrator's password.
    """


@users.command()
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(ROLES), help="What the user may do.")
@click.option("--full-name", default="", help="The name as it is written under a review.")
@click.option("--project", "names", multiple=True, metavar="NAME", help="A project the user is in; made if new.")
@click.option("--issuer", metavar="URL", help="Who vouches for the user; no password is asked for.")
@click.option("--subject", metavar="ID", help="What the issuer calls the user.")
@json_option
def create(
    name: str,
    role: Role,
    full_name: str,
    names: tuple[str, ...],
    issuer: str | None,
    subject: str | None,
    as_json: bool,
) -> None:
    """Make the user NAME.

    The password is typed, or comes from INSULA_NEW_PASSWORD; it is never an argument, which others could read.
    """
    password = os.environ.get(_VARIABLE) if issuer else _password()
    with _changing() as change:
        from insula.serve.people import users as people

        made = people.create(
            change.connection,
            name,
            role,
            change.now,
            full_name=full_name,
            password=password,
            projects_in=[_project(change, project) for project in names],
            issuer=issuer,
            subject=subject,
        )
        change.tell("user.create", made.id, role=role, projects=len(made.projects))
    emit(as_json, {"user": _shown(made)}, f"User '{made.name}' is made, with the role {made.role}.")


def _project(change: _Change, name: str) -> str:
    """The id of a project, which is made where there is none of the name."""
    from insula.serve.faults import RequestError
    from insula.serve.people import projects

    try:
        return projects.named(change.connection, name).id
    except RequestError as error:
        if error.status != 404:
            raise
    made = projects.create(change.connection, name, change.now)
    change.tell("project.create", made.id)
    return made.id


@users.command("list")
@click.option("--role", type=click.Choice(ROLES), help="Only users of this role.")
@json_option
def list_users(role: Role | None, as_json: bool) -> None:
    """List the users in the order in which they came."""
    found: list[User] = []
    with _records(_settings()) as records:
        from insula.serve.people import user
        from insula.serve.store.connect import reading

        with reading(records) as connection:
            while some := user.page(connection, found[-1].seq if found else 0, 200, role):
                found += some
    width = max((len(one.name) for one in found), default=4) + 2
    lines = [f"{'name':<{width}}{'role':<10}{'state':<7}{'log-in':<18}projects"]
    lines += [
        f"{one.name:<{width}}{one.role:<10}{'on' if one.active else 'off':<7}{_log_in(one):<18}{len(one.projects)}"
        for one in found
    ]
    emit(as_json, {"users": [_shown(one) for one in found]}, "\n".join(lines))


@users.command("set-password")
@click.argument("name")
@json_option
def set_password(name: str, as_json: bool) -> None:
    """Give the user NAME another password; ends a lock-out and all sessions of the user.

    The password is typed, or comes from INSULA_NEW_PASSWORD.
    """
    password = _password()
    with _changing() as change:
        from insula.serve.people import user
        from insula.serve.people import users as people

        found = user.named(change.connection, name)
        people.set_password(change.connection, found.id, password, change.now)
        found = user.find(change.connection, found.id)
        change.tell("user.password", found.id)
    emit(as_json, {"user": _shown(found)}, f"User '{found.name}' has a new password.")


@users.command()
@click.argument("name")
@json_option
def disable(name: str, as_json: bool) -> None:
    """Switch the user NAME off: no log-in, sessions ended, keys revoked. The last administrator stays."""
    with _changing() as change:
        from insula.serve.people import user
        from insula.serve.people import users as people

        found = people.change(change.connection, user.named(change.connection, name).id, change.now, active=False)
        change.tell("user.disable", found.id)
    emit(as_json, {"user": _shown(found)}, f"User '{found.name}' is switched off.")


@users.command()
@click.argument("name")
@json_option
def enable(name: str, as_json: bool) -> None:
    """Switch the user NAME on again, with the password as it was. Keys that were revoked stay so."""
    with _changing() as change:
        from insula.serve.people import user
        from insula.serve.people import users as people

        found = people.change(change.connection, user.named(change.connection, name).id, change.now, active=True)
        change.tell("user.enable", found.id)
    emit(as_json, {"user": _shown(found)}, f"User '{found.name}' is switched on, as {found.role}.")


@users.command("set-role")
@click.argument("name")
@click.argument("role", type=click.Choice(ROLES))
@json_option
def set_role(name: str, role: Role, as_json: bool) -> None:
    """Give the user NAME another ROLE; it counts from the next request on. The last administrator stays one."""
    with _changing() as change:
        from insula.serve.people import user
        from insula.serve.people import users as people

        before = user.named(change.connection, name)
        found = people.change(change.connection, before.id, change.now, role=role)
        change.tell("user.role", found.id, role=role, before=before.role)
    text = f"User '{found.name}' has the role {role}" + (f", no longer {before.role}." if role != before.role else ".")
    emit(as_json, {"user": _shown(found)}, text)


@users.command()
@click.argument("name")
@click.option("--label", required=True, help="What the key is for, as lists show it.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(PERMISSIONS), help="What it may.")
@click.option("--days", type=click.IntRange(1, 365), default=90, show_default=True, help="How long it counts.")
@json_option
def key(name: str, label: str, scopes: tuple[str, ...], days: int, as_json: bool) -> None:
    """Make an API key of the user NAME and show it, this once."""
    with _changing() as change:
        from insula.serve.people import keys, user

        owner = user.named(change.connection, name)
        ends_at = change.now + timedelta(days=days)
        made = keys.create(change.connection, owner.id, label, scopes, ends_at, change.now)
        change.tell("key.create", made.key.id, owner=owner.id, scopes=",".join(made.key.scopes))
    data = {
        "key": made.shown,
        "id": made.key.id,
        "user": owner.name,
        "scopes": list(made.key.scopes),
        "ends_at": made.key.ends_at.isoformat(),
    }
    text = f"{made.shown}\nIt counts until {made.key.ends_at:%Y-%m-%d} and is not shown again."
    emit(as_json, data, text)


@dataclass(frozen=True)
class _Change:
    """One transaction that ends with its entry in the trail: both are kept, or neither is."""

    connection: Connection
    now: datetime
    key: bytes

    def tell(self, action: str, subject: str, **detail: object) -> None:
        from insula.serve.trail.append import append

        append(self.connection, self.key, actor=account(), action=action, subject=subject, detail=detail)


@contextmanager
def _changing() -> Iterator[_Change]:
    settings = _settings()
    from insula.serve.store.connect import writing
    from insula.serve.store.schema import now
    from insula.serve.trail.keys import trail_key

    secret = trail_key(settings)
    with _records(settings) as records, writing(records) as connection:
        yield _Change(connection, now(), secret)


@contextmanager
def _records(settings: Settings) -> Iterator[Engine]:
    """The records, brought to this version; UsageError where they are not named or do not answer."""
    from sqlalchemy.exc import DBAPIError

    from insula.core.errors import UsageError
    from insula.serve.store.connect import connect
    from insula.serve.store.migrate import upgrade

    if not settings.database:
        raise UsageError("No database is named; set INSULA_DATABASE, as in sqlite:////PATH/insula.db.")
    engine = connect(settings.database)
    try:
        upgrade(engine)
        yield engine
    except DBAPIError as error:  # its text may repeat the address
        raise UsageError(
            f"The database of INSULA_DATABASE does not answer as it should ({type(error.orig).__name__}); "
            "check its address, whether it runs, and the rights of this account."
        ) from error
    finally:
        engine.dispose()


def _settings() -> Settings:
    from importlib.util import find_spec

    from insula.core.errors import MissingPartError

    if any(find_spec(part) is None for part in ("alembic", "jwt", "pwdlib", "pydantic_settings", "sqlalchemy")):
        raise MissingPartError("Users are part of the service; run: pip install 'insula[serve]'.")
    from insula.serve.settings import read_settings

    return read_settings()


def _password() -> str:
    from insula.core.errors import UsageError

    given = os.environ.get(_VARIABLE)
    if given:
        return given
    try:
        return str(click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True))
    except click.Abort as error:
        if sys.stdin is not None and sys.stdin.isatty():  # somebody thought better of it
            raise
        raise UsageError(f"There is no terminal to type the password at; set {_VARIABLE} to it.") from error


def _shown(found: User) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "full_name": found.full_name,
        "role": found.role,
        "active": found.active,
        "projects": sorted(found.projects),
        "log_in": _log_in(found),
        "created_at": found.created_at.isoformat(),
    }


def _log_in(found: User) -> str:
    ways = [way for way, there in (("password", found.has_password), ("issuer", found.issuer)) if there]
    return "+".join(ways) or "none"
