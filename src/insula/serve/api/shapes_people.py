"""What `/api/v1` takes and gives about people: log-ins, users, keys, projects, break-glass."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from insula.serve.api.shapes import Asked, Given, Id, Short
from insula.serve.people.roles import Permission, Role


class LogIn(Asked):
    """A name and its password."""

    name: Annotated[str, Field(min_length=1, max_length=120, examples=["ada"])]
    password: Annotated[str, Field(min_length=1, max_length=1024)]


class Me(BaseModel):
    """Who the caller is, and what he may do. csrf: of a session, to be sent as X-CSRF-Token."""

    id: str
    name: str
    role: Role
    permissions: list[Permission]
    projects: list[str]
    how: Literal["session", "key", "token", "local"]
    csrf: str | None = None


class Session(Me):
    """A log-in that has begun. csrf: to be sent as X-CSRF-Token with every request that changes something."""

    csrf: str
    ends_at: datetime


class NewPassword(Asked):
    """The own password, old and new."""

    old: Annotated[str, Field(min_length=1, max_length=1024)]
    new: Annotated[str, Field(min_length=1, max_length=1024)]


class SetPassword(Asked):
    """Another person's new password."""

    password: Annotated[str, Field(min_length=1, max_length=1024)]


class NewUser(Asked):
    """A person to let in; without a password only an issuer can log in for them.

    issuer: the address of a configured one that vouches for the person, subject: what it calls them; both or none.
    """

    name: Annotated[str, Field(min_length=1, max_length=120, examples=["ada"])]
    role: Role
    full_name: Short = ""
    password: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    projects: tuple[Id, ...] = ()
    issuer: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    subject: Annotated[str, Field(min_length=1, max_length=255)] | None = None


class UserChange(Asked):
    """What is to be different about a person; fields that are left out stay."""

    role: Role | None = None
    full_name: Short | None = None
    active: bool | None = None
    projects: list[Id] | None = None


class User(Given):
    """A person who may log in. issuer: the address of who vouches for them, null for nobody."""

    id: str
    name: str
    full_name: str
    role: Role
    active: bool
    created_at: datetime
    has_password: bool
    locked_until: datetime | None
    issuer: str | None
    projects: list[str]


class NewKey(Asked):
    """An API key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=120, examples=["pacs gateway"])]
    scopes: Annotated[list[Permission], Field(min_length=1)]
    days: Annotated[int, Field(ge=1, le=365)] = 90


class Key(Given):
    """An API key; its secret is shown once, when it is made."""

    id: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None


class MadeKey(Key):
    """A key that was just made. key: to be shown with requests; it cannot be seen again."""

    key: str


class NewProject(Asked):
    """A project to be made."""

    name: Annotated[str, Field(min_length=1, max_length=120, examples=["Stroke 2026"])]


class Project(Given):
    """Patients that the same people may see."""

    id: str
    name: str
    created_at: datetime


class Retention(Asked):
    """For how many days a project keeps files and predictions; null is for ever."""

    files_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    predictions_days: Annotated[int, Field(ge=1, le=36_500)] | None = None


class GlassReason(Asked):
    """Why a study of another project has to be opened."""

    reason: Annotated[str, Field(min_length=20, max_length=1000)]


class Opening(Given):
    """A study that somebody opened by break-glass."""

    id: str
    user_id: str
    study_id: str
    reason: str
    created_at: datetime
    ends_at: datetime
