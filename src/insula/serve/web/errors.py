"""Refusals as a person sees them: the log-in page for whoever is nobody yet, else a page that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from insula.serve.service import Service
from insula.serve.web.frame import open_page


def refused(
    request: Request, service: Service, status: int, code: str, message: str, headers: Mapping[str, str] | None
) -> Response:
    """The answer to a browser whose request was refused."""
    if status == 401 and request.method in ("GET", "HEAD") and not request.url.path.startswith("/api/"):
        request.state.turned_away = True
        why = "&why=ended" if code == "session_ended" else ""
        return RedirectResponse(f"/login?next={quote(here(request))}{why}", 303)
    answer = open_page(request, service, "error.html", status, code=code, message=message, status_code=status)
    answer.headers.update({k: v for k, v in (headers or {}).items() if k.lower() != "www-authenticate"})
    return answer


def here(request: Request) -> str:
    """The address of a request within this service."""
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def onward(address: str) -> str:
    """Where to go after logging in: an address of this service, else the start (no open redirect)."""
    try:
        parts = urlsplit(address)
    except ValueError:  # a bracket that is not closed, as in `//[`
        return "/"
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    plain = "\\" not in address and not any(ord(c) < 32 for c in address)
    return address if inside and plain and len(address) <= 2000 else "/"
