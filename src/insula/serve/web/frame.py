"""What every page stands in: who reads it, where they may go, in which language and theme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final, Literal, get_args

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from insula import __version__
from insula.core.errors import InsulaError
from insula.serve.answers import INTENDED_USE
from insula.serve.api.guard import Act
from insula.serve.people import sessions
from insula.serve.people.caller import Caller
from insula.serve.people.cookies import cookie_name, cookies_named
from insula.serve.people.roles import Permission
from insula.serve.service import Service
from insula.serve.web import assets, language
from insula.serve.web.filters import FILTERS
from insula.serve.web.language import LANGUAGES, NAMES, Language

Theme = Literal["auto", "light", "dark"]
THEMES: Final[tuple[Theme, ...]] = get_args(Theme)
THEME_COOKIE: Final = "insula-theme"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Place:
    """An entry of the navigation. needs: the permission without which it is not shown."""

    name: str
    path: str
    needs: Permission


PAGE: Final[Mapping[str, Any]] = {"response_class": HTMLResponse, "include_in_schema": False}  # of every page's route
PLACES: Final[tuple[Place, ...]] = (  # the names are sentences of the catalogues
    Place("Worklist", "/worklist", "study.read"),
    Place("Upload", "/upload", "study.write"),
    Place("To read", "/queue", "review.write"),
    Place("PACS", "/pacs", "pacs.read"),
    Place("History", "/history", "study.read"),
    Place("Models", "/models", "model.read"),
    Place("Monitoring", "/monitoring", "monitor.read"),
    Place("Training", "/training", "model.manage"),
    Place("Trail", "/trail", "trail.read"),
    Place("People", "/people", "user.manage"),
)


def page(acting: Act, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page for somebody who is logged in."""
    return _rendered(acting.request, acting.service, acting.caller, template, status, context)


def open_page(request: Request, service: Service, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page for anybody; one who has a session sees the frame of it all the same."""
    return _rendered(request, service, caller_if_any(request, service), template, status, context)


def caller_if_any(request: Request, service: Service) -> Caller | None:
    """Who sends a request, None where that is nobody or cannot be told."""
    try:
        return service.caller(request)
    except InsulaError:
        return None


def language_of(request: Request) -> Language:
    """The language of a request's reader."""
    return language.chosen(request.cookies.get(language.COOKIE, ""), request.headers.get("accept-language", ""))


def theme_of(request: Request) -> Theme:
    """The theme that was chosen in this browser; `auto` follows the system."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return next((one for one in THEMES if one == chosen), "auto")


@cache
def environment(spoken: Language) -> Environment:
    """The templates in a language: escaped, and a name that a template was not given is an error."""
    made = Environment(
        loader=PackageLoader("insula.serve.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(*language.for_templates(spoken), newstyle=True)  # type: ignore[attr-defined]
    made.filters.update(FILTERS)
    made.globals.update(asset=assets.address, built=assets.is_built(), texts_of=partial(_texts, spoken))
    return made


def _texts(spoken: Language, *sentences: str) -> Mapping[str, str]:
    """English → the reader's language, for scripts: in a data block of the page, which runs nothing."""
    translate = language.gettext_of(spoken)
    return {one: translate(one) for one in sentences}


def _rendered(
    request: Request, service: Service, caller: Caller | None, template: str, status: int, context: Mapping[str, Any]
) -> HTMLResponse:
    spoken = language_of(request)
    frame = {
        "request_path": request.url.path,
        "caller": caller,
        "may": caller.may if caller else lambda _: False,
        "places": [one for one in PLACES if caller and caller.may(one.needs)],
        "csrf": _csrf(request, service, caller),
        "language": spoken,
        "languages": [(one, NAMES[one]) for one in LANGUAGES],
        "theme": theme_of(request),
        "version": __version__,
        "intended_use": INTENDED_USE,
    }
    if both := frame.keys() & context.keys():
        raise AssertionError(f"the page {template} gives {sorted(both)} anew, which the frame needs")
    text = environment(spoken).get_template(template).render({**frame, **context})
    headers = {"Content-Security-Policy": POLICY, "Vary": "Cookie, Accept-Language"}
    return HTMLResponse(text, status, headers)


def _csrf(request: Request, service: Service, caller: Caller | None) -> str:
    if caller is None or caller.how != "session":
        return ""
    shown = cookies_named(cookie_name(service.people), request.headers.getlist("cookie"))
    return sessions.csrf_of(shown[0]) if len(shown) == 1 else ""
