"""`/reference`: the API as the service describes itself in /openapi.json, rendered here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Query, Request
from starlette.responses import HTMLResponse

from insula.serve.api.guard import OPEN, SELF, Routes
from insula.serve.people.roles import GRANTED, ROLES
from insula.serve.service import Service
from insula.serve.web.frame import PAGE, open_page
from insula.serve.web.shapes import Field, Schema, example_of, fields_of, kind_of, shape_of

_METHODS: Final = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Body:
    """What is sent or answered. media: its type; of: the shape's name; example: JSON as text, "" where it is none."""

    media: str
    kind: str
    of: str
    fields: tuple[Field, ...]
    example: str


@dataclass(frozen=True)
class Answer:
    """One answer. said: what it means where the API says so."""

    status: str
    said: str
    body: Body | None


@dataclass(frozen=True)
class Operation:
    """One route. needs: a permission, `open` or `self`. told: whether a call leaves an entry in the trail."""

    anchor: str
    method: str
    path: str
    lines: tuple[str, ...]
    needs: str
    roles: tuple[str, ...]
    told: bool
    parameters: tuple[tuple[str, Field], ...]
    body: Body | None
    answers: tuple[Answer, ...]
    errors: tuple[tuple[str, str], ...]

    def holds(self, word: str) -> bool:
        """Whether a search for a word finds it."""
        return word.lower() in " ".join((self.method, self.path, *self.lines, self.needs)).lower()


def routes(service: Service) -> APIRouter:
    """`/reference`."""
    made = Routes(service, "", "pages")

    @made.open("GET", "/reference", **PAGE)
    def reference(request: Request, q: Annotated[str, Query(max_length=100)] = "") -> HTMLResponse:
        """Every operation of the API, or those that hold a word."""
        app: FastAPI = request.app
        described = app.openapi()
        areas: dict[str, list[Operation]] = {}
        for tag, one in operations(described):
            if one.holds(q.strip()):
                areas.setdefault(tag, []).append(one)
        shapes = {name: (schema, fields_of(schema)) for name, schema in described["components"]["schemas"].items()}
        return open_page(request, service, "reference.html", areas=areas, q=q, shapes=shapes, roles=ROLES)

    return made.router


def operations(described: Mapping[str, Any]) -> Iterator[tuple[str, Operation]]:
    """The operations of an OpenAPI description, each with its area, in the order in which they stand there."""
    shapes = described["components"]["schemas"]
    for path, methods in described["paths"].items():
        for method in _METHODS:
            if method in methods:
                found = methods[method]
                yield next(iter(found.get("tags", ())), "plain"), _operation(method.upper(), path, found, shapes)


def _operation(method: str, path: str, found: Mapping[str, Any], shapes: Mapping[str, Schema]) -> Operation:
    needs = str(found["x-permission"])
    answers, errors = [], []
    for status, answer in sorted(found["responses"].items()):
        if status.startswith(("4", "5")):
            errors.append((status, answer["description"]))
        else:
            said = "" if answer["description"] == "Successful Response" else answer["description"]
            answers.append(Answer(status, said, _body(answer, shapes)))
    return Operation(
        anchor=re.sub("[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-"),
        method=method,
        path=path,
        lines=tuple(" ".join(part.split()) for part in found.get("description", "").split("\n\n")),
        needs=needs,
        roles=tuple(one for one in ROLES if needs in (OPEN, SELF) or any(needs == may for may in GRANTED[one])),
        told=needs not in (OPEN,) and not found["x-quiet"],
        parameters=tuple((one["in"], _parameter(one)) for one in found.get("parameters", ())),
        body=_body(found.get("requestBody", {}), shapes),
        answers=tuple(answers),
        errors=tuple(errors),
    )


def _parameter(one: Mapping[str, Any]) -> Field:
    (field,) = fields_of({"properties": {one["name"]: one["schema"]}, "required": [one["name"]] * one["required"]})
    return field


def _body(holder: Mapping[str, Any], shapes: Mapping[str, Schema]) -> Body | None:
    for media, content in holder.get("content", {}).items():
        schema = content.get("schema", {})
        name = shape_of(schema)
        fields = fields_of(shapes[name] if name else schema)
        shown = example_of(schema, shapes) if media == "application/json" and schema else None
        written = "" if shown is None else json.dumps(shown, indent=2, ensure_ascii=False)
        return Body(media, kind_of(schema), name, fields, written)
    return None
