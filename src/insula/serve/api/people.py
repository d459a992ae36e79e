"""Users, their API keys, and projects."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter
from starlette.responses import Response

from insula.serve.api.cursor import After, Limit, Page, following, seen
from insula.serve.api.guard import SELF, Acting, Routes
from insula.serve.api.shapes import Id
from insula.serve.api.shapes_people import (
    GlassReason,
    Key,
    MadeKey,
    NewKey,
    NewProject,
    NewUser,
    Opening,
    Project,
    Retention,
    SetPassword,
    User,
    UserChange,
)
from insula.serve.faults import RequestError
from insula.serve.people import glass, keys, projects, sessions, user, users
from insula.serve.people.user import User as Person
from insula.serve.service import Service
from insula.serve.store import retention
from insula.serve.store.schema import now


def user_routes(service: Service) -> APIRouter:
    """`/users`."""
    made = Routes(service, "/api/v1/users", "users")

    @made.get("", "user.manage", quiet=True)
    def listed(acting: Acting, limit: Limit = 50, after: After = None) -> Page[User]:
        """All people, in the order in which they were let in."""
        with acting.look() as connection:
            found = user.page(connection, seen(after) or 0, limit)
        return Page(items=[_user(one) for one in found], next=following([one.seq for one in found], limit))

    @made.post("", "user.manage", status_code=201, statuses=(409,))
    def create(acting: Acting, asked: NewUser) -> User:
        """Let somebody in."""
        if asked.issuer and asked.issuer not in {one.issuer for one in service.people.issuers}:
            raise RequestError(
                422, "no_issuer", f"There is no issuer '{asked.issuer[:80]}' here; INSULA_ISSUERS names those that are."
            )
        with acting.write("user.create") as connection:
            found = users.create(
                connection,
                asked.name,
                asked.role,
                now(),
                full_name=asked.full_name,
                password=asked.password,
                projects_in=asked.projects,
                issuer=asked.issuer,
                subject=asked.subject,
            )
            acting.told(found.id, role=found.role, projects=len(asked.projects))
        return _user(found)

    @made.get("/{user_id}", "user.manage", quiet=True)
    def one(acting: Acting, user_id: Id) -> User:
        """One person."""
        with acting.look() as connection:
            return _user(user.find(connection, user_id))

    @made.patch("/{user_id}", "user.manage", statuses=(409,))
    def change(acting: Acting, user_id: Id, asked: UserChange) -> User:
        """Change role, name, projects or whether somebody may log in; it counts from the next request on."""
        given = asked.model_dump(exclude_unset=True)
        with acting.write("user.change", user_id, fields=sorted(given)) as connection:
            found = users.change(
                connection,
                user_id,
                now(),
                full_name=asked.full_name,
                role=asked.role,
                active=asked.active,
                projects_in=asked.projects,
            )
            acting.told(role=found.role, active=found.active)
        return _user(found)

    @made.put("/{user_id}/password", "user.manage", status_code=204)
    def password(acting: Acting, user_id: Id, asked: SetPassword) -> Response:
        """Give somebody another password; a lock-out and all sessions end."""
        with acting.write("user.password", user_id) as connection:
            users.set_password(connection, user_id, asked.password, now())
        return Response(status_code=204)

    @made.get("/{user_id}/keys", "user.manage", quiet=True)
    def keys_of(acting: Acting, user_id: Id, limit: Limit = 50, after: After = None) -> Page[Key]:
        """Somebody's API keys."""
        with acting.look() as connection:
            found = keys.page(connection, user_id, seen(after) or 0, limit)
        return Page(items=[Key.model_validate(k) for k in found], next=following([k.seq for k in found], limit))

    @made.delete("/{user_id}/keys/{key_id}", "user.manage", status_code=204)
    def revoke(acting: Acting, user_id: Id, key_id: Id) -> Response:
        """End somebody's API key now."""
        with acting.write("key.revoke", key_id, user=user_id) as connection:
            keys.revoke(connection, key_id, now(), user_id)
        return Response(status_code=204)

    @made.delete("/{user_id}/sessions", "user.manage", status_code=204)
    def end_sessions(acting: Acting, user_id: Id) -> Response:
        """Log somebody out everywhere; API keys stay."""
        with acting.write("user.log_out", user_id) as connection:
            acting.told(ended=sessions.end_all(connection, user.find(connection, user_id).id, now()))
        return Response(status_code=204)

    return made.router


def key_routes(service: Service) -> APIRouter:
    """`/keys`: one's own."""
    made = Routes(service, "/api/v1/keys", "keys")

    @made.get("", "key.own", quiet=True)
    def listed(acting: Acting, limit: Limit = 50, after: After = None) -> Page[Key]:
        """Your API keys."""
        with acting.look() as connection:
            found = keys.page(connection, acting.caller.user_id, seen(after) or 0, limit)
        return Page(items=[Key.model_validate(k) for k in found], next=following([k.seq for k in found], limit))

    @made.post("", "key.own", status_code=201)
    def create(acting: Acting, asked: NewKey) -> MadeKey:
        """Make an API key with some of your permissions; it is shown once. A key itself makes none."""
        at, me = now(), acting.caller.user_id
        with acting.write("key.create", scopes=sorted(asked.scopes), days=asked.days) as connection:
            found = keys.create(connection, me, asked.name, asked.scopes, at + timedelta(days=asked.days), at)
            acting.told(found.key.id)
        return MadeKey(**Key.model_validate(found.key).model_dump(), key=found.shown)

    @made.delete("/{key_id}", "key.own", status_code=204)
    def revoke(acting: Acting, key_id: Id) -> Response:
        """End one of your API keys now."""
        with acting.write("key.revoke", key_id) as connection:
            keys.revoke(connection, key_id, now(), acting.caller.user_id)
        return Response(status_code=204)

    return made.router


def project_routes(service: Service) -> APIRouter:
    """`/projects`."""
    made = Routes(service, "/api/v1/projects", "projects")

    @made.get("", SELF, quiet=True)
    def listed(acting: Acting, limit: Limit = 50, after: After = None) -> Page[Project]:
        """Your projects; all of them for whoever manages projects."""
        only = None if acting.caller.may("project.manage") else acting.caller.projects
        with acting.look() as connection:
            found = projects.page(connection, seen(after) or 0, limit, only)
        return Page(items=[Project.model_validate(p) for p in found], next=following([p.seq for p in found], limit))

    @made.post("", "project.manage", status_code=201, statuses=(409,))
    def create(acting: Acting, asked: NewProject) -> Project:
        """Make a project; nobody is in it until an administrator says so."""
        with acting.write("project.create") as connection:
            found = projects.create(connection, asked.name, now())
            acting.told(found.id)
        return Project.model_validate(found)

    @made.patch("/{project_id}", "project.manage", statuses=(409,))
    def rename(acting: Acting, project_id: Id, asked: NewProject) -> Project:
        """Give a project another name."""
        with acting.write("project.rename", project_id) as connection:
            return Project.model_validate(projects.rename(connection, project_id, asked.name))

    @made.put("/{project_id}/members/{user_id}", "user.manage", status_code=204)
    def let_in(acting: Acting, project_id: Id, user_id: Id) -> Response:
        """Let somebody into a project; it counts from the next request on."""
        with acting.write("project.let_in", project_id, user=user_id) as connection:
            acting.told(changed=projects.let_in(connection, project_id, user_id, now()))
        return Response(status_code=204)

    @made.delete("/{project_id}/members/{user_id}", "user.manage", status_code=204)
    def take_out(acting: Acting, project_id: Id, user_id: Id) -> Response:
        """Take somebody out of a project; it counts from the next request on."""
        with acting.write("project.take_out", project_id, user=user_id) as connection:
            acting.told(changed=projects.take_out(connection, project_id, user_id))
        return Response(status_code=204)

    @made.get("/{project_id}/retention", "project.manage", quiet=True)
    def rules(acting: Acting, project_id: Id) -> Retention:
        """For how long a project keeps what."""
        with acting.look() as connection:
            found = retention.rules_of(connection, project_id)
        return Retention(files_days=found.files_days, predictions_days=found.predictions_days)

    @made.put("/{project_id}/retention", "project.manage")
    def set_rules(acting: Acting, project_id: Id, asked: Retention) -> Retention:
        """Say for how long a project keeps what; `insula records retention` and the workers delete what is older."""
        with acting.write("project.retention", project_id, **asked.model_dump()) as connection:
            retention.set_rules(connection, project_id, retention.Rules(asked.files_days, asked.predictions_days))
        return asked

    return made.router


def glass_routes(service: Service) -> APIRouter:
    """Break-glass: opening one study of others, and who did so."""
    made = Routes(service, "/api/v1", "break-glass")

    @made.post("/studies/{study_id}/glass", "glass.break", status_code=201)
    def break_glass(acting: Acting, study_id: Id, asked: GlassReason) -> Opening:
        """Open one study of a project that is not yours, for an hour and for a reason; the trail tells of it."""
        with acting.write("glass.break", study_id) as connection:
            found = glass.break_glass(connection, acting.caller, study_id, asked.reason, now())
            acting.told(opening=found.id)
        return Opening.model_validate(found)

    @made.get("/glass", "trail.read")
    def openings(acting: Acting, limit: Limit = 50, after: After = None) -> Page[Opening]:
        """Who opened what, and why."""
        with acting.read("glass.list") as connection:
            found = glass.page(connection, seen(after) or 0, limit)
        return Page(items=[Opening.model_validate(o) for o in found], next=following([o.seq for o in found], limit))

    return made.router


def _user(found: Person) -> User:
    return User(
        id=found.id,
        name=found.name,
        full_name=found.full_name,
        role=found.role,
        active=found.active,
        created_at=found.created_at,
        has_password=found.has_password,
        locked_until=found.locked_until,
        issuer=found.issuer,
        projects=sorted(found.projects),
    )
