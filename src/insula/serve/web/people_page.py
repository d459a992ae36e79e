"""The pages of the people: who there is, letting somebody in, and one person."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import HTMLResponse

from insula.serve.api.cursor import After, cut, seen
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.shapes import Id
from insula.serve.people import keys, projects, sessions, user
from insula.serve.people.common_passwords import SHORTEST
from insula.serve.people.last_seen import last_seen
from insula.serve.people.passwords import LONGEST
from insula.serve.people.roles import ROLES
from insula.serve.people.user import User
from insula.serve.service import Service
from insula.serve.store.schema import now
from insula.serve.web.frame import PAGE, page
from insula.serve.web.words import ROLE_SAYS

ROWS: Final = 50
STATES: Final = {"on": True, "off": False}
Word = Annotated[str, Query(max_length=120)]


def routes(service: Service) -> APIRouter:
    """`/people`."""
    made = Routes(service, "/people", "pages")

    @made.get("", "user.manage", quiet=True, **PAGE)
    def listed(acting: Acting, text: Word = "", role: Word = "", state: Word = "", after: After = None) -> HTMLResponse:
        """Everybody who has an account, in the order in which they were let in."""
        wanted = user.role_named(role) if role else None
        with acting.look() as connection:
            more = user.page(connection, seen(after) or 0, ROWS + 1, wanted, STATES.get(state), text=text)
            found, cursor = cut(more, ROWS)
            names = project_names(connection, found)
            at_last = last_seen(connection, [one.id for one in found])
        asked = {k: v for k, v in (("text", text), ("role", role), ("state", state)) if v}
        return page(
            acting,
            "people.html",
            people=found,
            projects=names,
            last_seen=at_last,
            asked={"text": text, "role": role, "state": state},
            roles=ROLES,
            now=now(),
            first="/people?" + urlencode(asked) if after else "",
            next="/people?" + urlencode({**asked, "after": cursor}) if cursor else "",
        )

    @made.get("/new", "user.manage", quiet=True, **PAGE)
    def fresh(acting: Acting) -> HTMLResponse:
        """The form by which somebody is let in."""
        with acting.look() as connection:
            there = projects.every(connection)
        return page(acting, "person_new.html", projects=there, issuers=service.people.issuers, **_rules())

    @made.get("/{user_id}", "user.manage", quiet=True, **PAGE)
    def one(acting: Acting, user_id: Id, after: After = None) -> HTMLResponse:
        """One person, with keys and open sessions. after: in the list of keys."""
        at = now()
        with acting.look() as connection:
            found = user.find(connection, user_id)
            own, cursor = cut(keys.page(connection, user_id, seen(after) or 0, ROWS + 1), ROWS)
            there = projects.every(connection)
            logged_in = sessions.page(connection, user_id, at, service.people)
            at_last = last_seen(connection, [user_id]).get(user_id)
        return page(
            acting,
            "person.html",
            person=found,
            keys=own,
            projects=there,
            sessions=logged_in,
            last_seen=at_last,
            issuer=next((i.name for i in service.people.issuers if i.issuer == found.issuer), found.issuer),
            own=user_id == acting.caller.user_id,
            now=at,
            first=f"/people/{user_id}" if after else "",
            next=f"/people/{user_id}?" + urlencode({"after": cursor}) if cursor else "",
            **_rules(),
        )

    return made.router


def project_names(connection: Connection, people: list[User]) -> dict[str, str]:
    """Id → name of the projects that these people are in."""
    ids = {project for one in people for project in one.projects}
    return {one.id: one.name for one in projects.page(connection, 0, max(len(ids), 1), ids)}


def _rules() -> dict[str, Any]:
    """What the forms say of roles and passwords."""
    return {"role_says": ROLE_SAYS, "shortest": SHORTEST, "longest": LONGEST}
