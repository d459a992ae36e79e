"""`/documents`: the project's own documents, as pages of the service that they describe."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from insula.serve.api.guard import Routes
from insula.serve.faults import RequestError
from insula.serve.service import Service
from insula.serve.web.frame import PAGE, open_page
from insula.serve.web.library import PICTURES, RESULTS, SHELVES, is_picture, results, shelf
from insula.serve.web.markdown import Text, rendered


def routes(service: Service) -> APIRouter:
    """`/documents`."""
    made = Routes(service, "", "pages")

    @made.open("GET", "/documents", **PAGE)
    def contents(request: Request) -> HTMLResponse:
        """All documents, by whom they are for."""
        known = shelf()
        shelves = [(reader, _listed([name for name in names if name in known])) for reader, names in SHELVES.items()]
        return open_page(request, service, "documents.html", shelves=shelves, results=_listed(results()))

    @made.open("GET", "/documents/{name:path}", response_class=Response, include_in_schema=False)
    def document(request: Request, name: str) -> Response:
        """A document, or a picture of one."""
        found = shelf().get(name)
        if found is None:
            raise RequestError(404, "not_found", "There is no such document; /documents lists them.")
        if is_picture(name):
            return Response(found.read_bytes(), media_type=PICTURES[name[name.rindex(".") :]])
        return open_page(request, service, "document.html", text=text_of(name), results=name.startswith(RESULTS))

    return made.router


@cache
def text_of(name: str) -> Text:
    """A document by its address (which `shelf` has), as HTML."""
    return rendered(shelf()[name].read_text(encoding="utf-8"), _path(name), address)


def address(path: str) -> str | None:
    """Where the pages show a file of the project, given by its path in it; None for one that they do not show."""
    if path.rstrip("/") == "docs":
        return "/documents"
    if path.rstrip("/") == "docs/results":
        return "/documents#results"
    within = path.removeprefix("docs/") if path.startswith("docs/") else path.lower()
    name = within.removesuffix(".md")
    return f"/documents/{name}" if name in shelf() and _path(name) == path else None


def _listed(names: list[str] | tuple[str, ...]) -> list[tuple[str, str]]:
    """Addresses with the titles of the documents."""
    return [(name, text_of(name).title) for name in names]


def _path(name: str) -> str:
    """Where a document lies within the project."""
    if name in ("readme", "changelog"):
        return f"{name.upper()}.md"
    return f"docs/{name}" if is_picture(name) else f"docs/{name}.md"
