"""Logging in and out, and the own account."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from insula.serve.api.guard import SELF, Acting, Routes
from insula.serve.api.shapes_people import LogIn, Me, NewPassword, Session
from insula.serve.faults import RequestError
from insula.serve.models.limit import ClientLimit
from insula.serve.people import known, log_in, oidc, sessions, user, users
from insula.serve.people.caller import Caller
from insula.serve.people.cookies import (
    cookie_name,
    cookies_named,
    ended_cookie,
    known_cookie,
    passing_cookie,
    session_cookie,
)
from insula.serve.people.log_in import Refused
from insula.serve.people.projects import ids_of
from insula.serve.people.roles import PERMISSIONS
from insula.serve.people.sessions import Started
from insula.serve.service import Service
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import now
from insula.serve.web.errors import onward
from insula.serve.web.frame import open_page

NextPage = Annotated[str, Query(max_length=2000, description="Where to go afterwards: an address of this service.")]

_PASSING = "insula-log-in"
_ONWARD = "insula-onward"  # where somebody wanted to go who logs in at an issuer
_LONGEST = 3000  # characters of that, in base64
_PER_MINUTE = 20  # log-ins of one address, beside the lock of each account


def routes(service: Service) -> APIRouter:
    """`/session`."""
    made = Routes(service, "/api/v1/session", "session")
    limit = ClientLimit(_PER_MINUTE, _PER_MINUTE)

    @made.open("POST", "", response_model=Session)
    def start(request: Request, asked: LogIn) -> Response:
        """Log in by name and password; the session's cookie is set, and its CSRF token given."""
        limit.take(request.client.host if request.client else "")
        with reading(service.records) as connection:
            attempt = log_in.begin(connection, asked.name)
        attempt = attempt.check(asked.password)
        mark = known.mark_of(service.key, attempt.user_id, _shown(request, service, known.KIND))
        with writing(service.records) as connection:
            found = log_in.finish(connection, attempt, now(), service.people, _shown(request, service), mark)
            if isinstance(found, Refused):
                detail = {"reason": found.reason, "user": found.user_id}
                service.tell(connection, "anonymous", "session.start", "", detail, "refused")
            else:
                who = user.find(connection, found.user_id)
                service.tell(connection, who.name, "session.start", found.id)
        if isinstance(found, Refused):
            request.state.told = True
            raise found.error()
        return _begun(service, found)

    @made.get("", SELF, quiet=True)
    def me(acting: Acting) -> Me:
        """Who you are and what you may do."""
        me = _me(acting.caller)
        secret = _shown(acting.request, service) if acting.caller.how == "session" else ""
        return me.model_copy(update={"csrf": sessions.csrf_of(secret)}) if secret else me

    @made.delete("", SELF, status_code=204)
    def end(acting: Acting) -> Response:
        """Log out: the session ends here, whoever still holds its cookie."""
        if not acting.caller.session_id:
            raise RequestError(400, "no_session", "The request is not of a session; keys and tokens are revoked.")
        with acting.write("session.end", acting.caller.session_id) as connection:
            sessions.end(connection, acting.caller.session_id, now())
        return Response(status_code=204, headers={"Set-Cookie": ended_cookie(service.people)})

    @made.put("/password", SELF, status_code=204)
    def password(acting: Acting, asked: NewPassword) -> Response:
        """Change the own password; all other sessions end."""
        if acting.caller.how != "session":
            raise RequestError(403, "forbidden", "A password is changed in a session; log in first.")
        with acting.write("user.password", acting.caller.user_id) as connection:
            me = acting.caller
            refused = log_in.confirm(connection, me.user_id, asked.old, now(), service.people, me.session_id)
            if refused is None:
                users.set_password(connection, acting.caller.user_id, asked.new, now(), acting.caller.session_id)
            else:
                acting.told(refused=refused.reason)
        if refused is not None:  # the failure is counted, so it was committed first
            raise refused.error()
        return Response(status_code=204)

    @made.delete("/others", SELF, status_code=204)
    def end_others(acting: Acting) -> Response:
        """Log out everywhere else: all own sessions but this one end; API keys stay."""
        if not acting.caller.session_id:
            raise RequestError(400, "no_session", "The request is not of a session; log in first.")
        with acting.write("session.end_others", acting.caller.session_id) as connection:
            acting.told(ended=sessions.end_all(connection, acting.caller.user_id, now(), acting.caller.session_id))
        return Response(status_code=204)

    @made.open("GET", "/at/{issuer}", status_code=303)
    def at_issuer(request: Request, issuer: str, next: NextPage = "/") -> Response:  # noqa: A002 - the address has it
        """Go to an issuer to log in there (OpenID Connect, authorization code with PKCE)."""
        limit.take(request.client.host if request.client else "")
        begun = oidc.begin(service.verifier.named(issuer), now())
        response = RedirectResponse(begun.address, 303)
        for kind, value in ((_PASSING, begun.passing), (_ONWARD, _packed(onward(next)))):
            response.headers.append("Set-Cookie", passing_cookie(kind, value, oidc.SECONDS, service.people))
        return response

    @made.open("GET", "/back/{issuer}", response_class=HTMLResponse)
    def back(request: Request, issuer: str) -> Response:
        """Come back from an issuer, with a session."""
        limit.take(request.client.host if request.client else "")
        passing = cookies_named(cookie_name(service.people, _PASSING), request.headers.getlist("cookie"))
        if len(passing) != 1:
            raise RequestError(401, "log_in_refused", "The log-in was not begun in this browser; begin it again.")
        answer = {k: v[:8192] for k, v in request.query_params.items()}
        claims = oidc.exchange(service.verifier.named(issuer), service.verifier, passing[0], answer, now())
        with writing(service.records) as connection:
            started = oidc.admit(connection, claims, now(), service.people, _shown(request, service))
            who = user.find(connection, started.user_id)
            service.tell(connection, who.name, "session.start", started.id, {"issuer": issuer})
        # no redirect: it would belong to the other site's chain, without the cookie
        response = open_page(request, service, "arrived.html", name=who.name, next=_wanted(request, service))
        response.headers.append("Set-Cookie", session_cookie(started.secret, service.people))
        for kind in (_PASSING, _ONWARD):
            response.headers.append("Set-Cookie", passing_cookie(kind, "", 0, service.people))
        return response

    return made.router


def _begun(service: Service, started: Started) -> Response:
    with reading(service.records) as connection:
        who = user.find(connection, started.user_id)
        projects = ids_of(connection, who.id)
    caller = Caller(who.id, who.name, who.role, projects, "session", session_id=started.id)
    body = Session(**{**_me(caller).model_dump(), "csrf": started.csrf, "ends_at": started.ends_at})
    response = JSONResponse(body.model_dump(mode="json"))
    response.headers.append("Set-Cookie", session_cookie(started.secret, service.people))
    again = known.cookie_for(service.key, who.id)
    response.headers.append("Set-Cookie", known_cookie(known.KIND, again, known.SECONDS, service.people))
    return response


def _me(caller: Caller) -> Me:
    return Me(
        id=caller.user_id,
        name=caller.name,
        role=caller.role,
        permissions=[one for one in PERMISSIONS if caller.may(one)],
        projects=sorted(caller.projects),
        how=caller.how,
    )


def _packed(address: str) -> str:
    """An address of this service as a cookie holds it; the start for one that is too long for that."""
    made = urlsafe_b64encode(address.encode("utf-8", "replace")).decode()
    return made if len(made) <= _LONGEST else _packed("/")


def _wanted(request: Request, service: Service) -> str:
    """Where somebody wanted to go who comes back from an issuer: an address of this service, whoever set the cookie."""
    found = cookies_named(cookie_name(service.people, _ONWARD), request.headers.getlist("cookie"))
    try:
        return onward(urlsafe_b64decode(found[0]).decode()) if len(found) == 1 else "/"
    except ValueError:
        return "/"


def _shown(request: Request, service: Service, kind: str = "insula") -> str:
    found = cookies_named(cookie_name(service.people, kind), request.headers.getlist("cookie"))
    return found[0] if len(found) == 1 else ""
