"""What the tests of people share: an instant, settings, a password, users and studies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert

from insula.serve.people import projects, users
from insula.serve.people.caller import Caller
from insula.serve.people.roles import Role
from insula.serve.people.settings import PeopleSettings
from insula.serve.people.user import User
from insula.serve.store import schema

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PASSWORD = "violet kettle harbour"
SETTINGS = PeopleSettings()


def person(connection: Connection, name: str = "ann", role: Role = "reader", password: str | None = None) -> User:
    return users.create(connection, name, role, NOW, password=password)


def study(connection: Connection, project_id: str, key: str = "p1") -> str:
    """A study of a new patient of a project; its id."""
    patient_id, study_id = schema.new_id(), schema.new_id()
    connection.execute(insert(schema.patients).values(id=patient_id, project_id=project_id, key=key))
    connection.execute(insert(schema.studies).values(id=study_id, project_id=project_id, patient_id=patient_id))
    return study_id


def project(connection: Connection, name: str) -> str:
    return projects.create(connection, name, NOW).id


def caller(user: User, opened: frozenset[str] = frozenset()) -> Caller:
    return Caller(user.id, user.name, user.role, user.projects, "session", opened=opened)
