"""The page of one's own account: who one is, what one may do, password, keys and open sessions."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from insula.serve.api.cursor import After, cut, seen
from insula.serve.api.guard import SELF, Acting, Routes
from insula.serve.people import keys, projects, sessions, user
from insula.serve.people.common_passwords import SHORTEST
from insula.serve.people.passwords import LONGEST
from insula.serve.people.roles import PERMISSIONS
from insula.serve.service import Service
from insula.serve.store.schema import now
from insula.serve.web.frame import PAGE, page
from insula.serve.web.words import MAY, ROLE_SAYS

ROWS: Final = 50


def routes(service: Service) -> APIRouter:
    """`/account`."""
    made = Routes(service, "/account", "pages")

    @made.get("", SELF, quiet=True, **PAGE)
    def mine(acting: Acting, after: After = None) -> HTMLResponse:
        """The caller's own account. after: in the list of keys."""
        me, at = acting.caller, now()
        with acting.look() as connection:
            found = user.find(connection, me.user_id)
            more = keys.page(connection, me.user_id, seen(after) or 0, ROWS + 1) if me.may("key.own") else []
            own, cursor = cut(more, ROWS)
            names = [one.name for one in projects.page(connection, 0, max(len(me.projects), 1), me.projects)]
            logged_in = sessions.page(connection, me.user_id, at, service.people)
        return page(
            acting,
            "account.html",
            person=found,
            issuer=next((i.name for i in service.people.issuers if i.issuer == found.issuer), found.issuer),
            projects=sorted(names),
            may_do=[MAY[one] for one in PERMISSIONS if me.may(one)],
            role_says=ROLE_SAYS[me.role],
            scopes=[(one, MAY[one]) for one in keys.scopes_for(me.role)],
            keys=own,
            most_days=keys.LONGEST.days,
            sessions=logged_in,
            idle_minutes=service.people.session_idle_minutes,
            hours=service.people.session_hours,
            shortest=SHORTEST,
            longest=LONGEST,
            now=at,
            first="/account#keys" if after else "",
            next="/account?" + urlencode({"after": cursor}) + "#keys" if cursor else "",
        )

    return made.router
