"""Style sheet and scripts of the pages, served by ourselves and named by their content, so that they may be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from insula.serve.api.guard import Routes
from insula.serve.faults import RequestError
from insula.serve.service import Service

SHEET: Final = "insula.css"
_MEDIA: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}


@dataclass(frozen=True)
class Asset:
    """One file. tag: of its content."""

    data: bytes = field(repr=False)
    media: str
    tag: str


@cache
def assets() -> Mapping[str, Asset]:
    """Name → file: the style sheet out of the parts in `style/`, and what Vite has built into `built/`.

    Where the scripts were not built (`make web`) only the style sheet is there; pages can be read, not acted upon.
    """
    package = files("insula.serve.web")
    parts = [one for one in package.joinpath("style").iterdir() if one.name.endswith(".css")]
    parts.sort(key=lambda one: (one.name != "frame.css", one.name))  # the frame first: what others build upon
    made = {SHEET: _asset(SHEET, b"\n".join(one.read_bytes() for one in parts))}
    built = package.joinpath("built")
    if built.is_dir():
        made |= _below(built, "")
    return made


def address(name: str) -> str:
    """Where a page finds an asset; its content is in the address, so that a browser never takes an old one."""
    return f"/assets/{name}?v={assets()[name].tag}" if name in assets() else f"/assets/{name}"


def is_built() -> bool:
    """Whether the pages' scripts are there."""
    return "main.js" in assets()


def routes(service: Service) -> APIRouter:
    """`/assets`."""
    made = Routes(service, "/assets", "pages")

    @made.open("GET", "/{name:path}", response_class=Response, include_in_schema=False)
    def asset(name: str) -> Response:
        """A style sheet or script of the pages."""
        found = assets().get(name)
        if found is None:
            raise RequestError(404, "not_found", "There is no such file of the pages.")
        headers = {"ETag": f'"{found.tag}"', "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(found.data, 200, headers, found.media)

    return made.router


def _below(folder: Traversable, start: str) -> dict[str, Asset]:
    made: dict[str, Asset] = {}
    for one in folder.iterdir():
        name = f"{start}{one.name}"
        if one.is_dir():
            made |= _below(one, f"{name}/")
        elif any(name.endswith(end) for end in _MEDIA):
            made[name] = _asset(name, one.read_bytes())
    return made


def _asset(name: str, data: bytes) -> Asset:
    return Asset(data, _MEDIA[name[name.rindex(".") :]], hashlib.sha256(data).hexdigest()[:16])
