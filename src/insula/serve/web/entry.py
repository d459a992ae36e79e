"""The first pages: the way in, and where somebody who is in goes on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from insula.serve.api.guard import Routes
from insula.serve.people.log_in import Refused
from insula.serve.service import Service
from insula.serve.web.errors import onward
from insula.serve.web.frame import PLACES, caller_if_any, open_page


def routes(service: Service) -> APIRouter:
    """`/` and `/login`."""
    made = Routes(service, "", "pages")

    @made.open("GET", "/", response_class=Response, include_in_schema=False)
    def start(request: Request) -> Response:
        """Somebody's first place, or what this is."""
        caller = caller_if_any(request, service)
        for place in PLACES:
            if caller and caller.may(place.needs):
                return RedirectResponse(place.path, 303)
        return RedirectResponse("/about", 303)

    @made.open("GET", "/login", response_class=Response, include_in_schema=False)
    def log_in(request: Request, next: str = "/", why: str = "") -> Response:  # noqa: A002 - the name in the address
        """Log in by name and password, or at an issuer. why: `out` after logging out, `ended` where a session has.

        `again` is the way in from a form that was open while a session ended: in a second tab, which leads nowhere.
        """
        return open_page(
            request,
            service,
            "login.html",
            next=onward(next),
            why=why,
            refusal=str(Refused("unknown").error()),
            issuers=[one.name for one in service.people.issuers if one.log_in],
        )

    return made.router
