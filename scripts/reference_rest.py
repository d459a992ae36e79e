"""docs/reference/rest.md: every operation of the REST service with its fields, out of what it says of itself."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import SecretStr
from reference_words import table

from insula.serve.app import create_app
from insula.serve.people.roles import ROLES
from insula.serve.settings import Settings
from insula.serve.web.reference import Answer, Body, Operation, operations
from insula.serve.web.shapes import Field, fields_of

HEAD = """# Every operation of the REST service

Made from the service's own description: a running service gives it as `/openapi.json`, and as a page of its own at
`/reference`. How to log in, roles, errors, limits and examples stand in [api.md](../api.md); the routes without records
in [service.md](../service.md); a client in Python in [client.md](../client.md). An error is
`application/problem+json`, with a code that [errors.md](../errors.md) explains.
"""


@cache
def described() -> dict[str, Any]:
    """The OpenAPI description of a service that keeps records."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            bundle=None,
            database=f"sqlite:///{folder}/insula.db",
            files=f"{folder}/files",
            trail_key=SecretStr("t" * 40),
            jobs=0,
        )
        app = create_app(settings)
        found: dict[str, Any] = app.openapi()
        app.state.service.records.dispose()
    return found


def page(description: Mapping[str, Any] | None = None) -> str:
    """The page."""
    found = description or described()
    everywhere = set.intersection(*({status for status, _ in one.errors} for _, one in operations(found)))
    areas: dict[str, list[Operation]] = {}
    for area, one in operations(found):
        areas.setdefault(area, []).append(one)
    written = [f"## {area}\n\n" + "\n".join(_written(one, everywhere) for one in ones) for area, ones in areas.items()]
    shapes = [_shape(name, schema) for name, schema in sorted(found["components"]["schemas"].items())]
    said = next((one.errors for _, one in operations(found)), ())
    common = "; ".join(f"{status} {_plain(what).rstrip('.')}" for status, what in said if status in everywhere)
    return "\n".join(
        [HEAD, f"Each operation may answer with: {common}. Further ones are named.\n", *written, "## Shapes\n", *shapes]
    )


def _written(one: Operation, everywhere: set[str]) -> str:
    roles = "everybody" if set(one.roles) == set(ROLES) else ", ".join(one.roles) or "nobody"
    told = "It is told to the audit trail." if one.told else ""
    needs = {"open": "Nobody needs to log in.", "self": "Whoever is logged in."}.get(
        one.needs, f"Needs `{one.needs}`: {roles}."
    )
    parts = [f"### {one.method} {one.path}", *(_plain(line) for line in one.lines), f"{needs} {told}".strip()]
    if one.parameters:
        rows = [(f"`{f.name}`", where, f.kind, _needed(f)) for where, f in one.parameters]
        parts.append(table(("parameter", "in", "value", "meaning"), rows))
    if one.body:
        parts.append(f"Takes {_body(one.body)}.")
    parts += [_answered(answer) for answer in one.answers]
    if further := [f"{status} {_plain(said).rstrip('.')}" for status, said in one.errors if status not in everywhere]:
        parts.append(f"Errors: {'; '.join(further)}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _answered(answer: Answer) -> str:
    known = answer.body and answer.body.kind != "anything"
    what = f" {_body(answer.body)}" if answer.body and known else ""
    said = f" {_plain(answer.said)}" if answer.said else ""
    return f"Answers {answer.status}:{what or ' no body'}.{said}"


def _body(body: Body) -> str:
    shape = f"[{body.of}](#{body.of.lower()}-shape)" if body.of else body.kind
    return f"`{body.media}`, {shape if body.kind in (body.of, '') or not body.of else f'{body.kind} ({shape})'}"


def _shape(name: str, schema: Mapping[str, Any]) -> str:
    rows = [(f"`{f.name}`", f.kind, _needed(f)) for f in fields_of(schema)]
    said = _plain(" ".join(str(schema.get("description", "")).split()))
    body = table(("field", "value", "meaning"), rows) if rows else ""
    return "\n\n".join(part for part in (f"### {name} (shape)", said, body) if part) + "\n"


def _needed(field: Field) -> str:
    return f"{'Needed. ' if field.needed else ''}{_plain(field.said)}".strip()


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")
