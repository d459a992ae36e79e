"""The description of the service as OpenAPI 3.1: who may call what, and errors as they really come."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from insula.serve.api.problem import MEDIA

_SCHEMES: Final = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-insula",
        "description": "A log-in (POST /api/v1/session); what changes something also sends X-CSRF-Token.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of a configured issuer."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}


def describe(app: FastAPI) -> None:
    """Give the application its description."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _mended(
                get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            )
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _mended(schema: dict[str, Any]) -> dict[str, Any]:
    schema.setdefault("components", {})["securitySchemes"] = _SCHEMES
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            needs = operation.get("x-permission")
            operation["security"] = [] if needs == "open" else [{name: []} for name in _SCHEMES]
            _as_they_come(operation, path.startswith("/api/"))
    return schema


def _as_they_come(operation: dict[str, Any], problems: bool) -> None:
    """The errors of an operation in the form that its address gives them."""
    media, name = (MEDIA, "Problem") if problems else ("application/json", "FaultBody")
    for status, answer in operation["responses"].items():
        if status.startswith(("4", "5")):
            answer["content"] = {media: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
