"""Errors of `/api/v1` as problem details (RFC 9457), `application/problem+json`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from insula.core.errors import InsulaError, see_of
from insula.serve import faults

MEDIA = "application/problem+json"


class Problem(BaseModel):
    """Why a request was refused.

    type: the page that says what the rule is and what to do, an address of this service. code: the same rule as one
    word, to branch on. Where one file of an upload is to blame, `role` and `file` say which: the model's input that it
    was sent for, and its place among that input's files, from 1.
    """

    type: str = Field(examples=["/documents/errors#unreadable_scan"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    code: str = Field(examples=["unreadable_scan"])
    detail: str = Field(examples=["File 1 is cut short: it says 512 rows and holds 300; export it again."])


def address(code: str) -> str:
    """Where this service's own pages explain a code; RFC 9457 (section 3.1.1) allows an address without a host."""
    return f"/documents/{see_of(code)}"


def response(
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """One problem. more: members beyond those of every problem (RFC 9457, section 3.2)."""
    body = Problem(type=address(code), title=HTTPStatus(status).phrase, status=status, code=code, detail=detail)
    return JSONResponse({**(more or {}), **body.model_dump()}, status, dict(headers or {}), media_type=MEDIA)


def of_error(error: InsulaError) -> JSONResponse:
    """The problem of one of our errors."""
    said = faults.fault(error)
    headers = error.headers if isinstance(error, faults.RequestError) else {}
    return response(faults.status_of(error), said["code"], said["message"], headers)


def at(
    path: str,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """An error as the address that was asked for says it: a problem below `/api`, else the plain form."""
    if path.startswith("/api/"):
        return response(status, code, detail, headers, more)
    return faults.response(status, code, detail, headers)


def of_path(path: str, error: InsulaError) -> JSONResponse:
    """One of our errors as the address says it."""
    return of_error(error) if path.startswith("/api/") else faults.of_error(error)


def responses(*statuses: int) -> dict[int | str, dict[str, object]]:
    """What a route's description says of its refusals; those that any route may give are always there."""
    return {
        status: {"model": Problem, "description": HTTPStatus(status).phrase, "content": {MEDIA: {}}}
        for status in sorted({400, 401, 403, 404, 422, 429, 503, 507, *statuses})
    }
