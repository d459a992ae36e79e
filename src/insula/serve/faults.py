"""From an error to a status code and the one error body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from insula.core.errors import (
    BundleError,
    CohortError,
    InsulaError,
    LimitError,
    ScanError,
    UnsuitableScanError,
    UsageError,
    see_of,
)
from insula.scans import sandbox

_BY_BROWSER: Final = ("/api/v1/session/at/", "/api/v1/session/back/")  # where a person comes by a link


class RequestError(UsageError):
    """A request that breaks a rule of the service, with its own status. more: plain data of what could be chosen."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.fault_code = code
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    @property
    def see(self) -> str:
        """Where the documents say more of its own code."""
        return see_of(self.fault_code)


def busy(seconds: int) -> RequestError:
    """The queue is full; seconds: until there will be a place, as far as can be told."""
    return RequestError(
        503, "busy", f"All places are taken by other scans; try again in {seconds} s.", {"Retry-After": str(seconds)}
    )


def too_large(limit: int, files: bool) -> RequestError:
    """The request's body is above the limit. files: whether it is a form of files, whose limit can be raised."""
    message = (
        f"The request is larger than the {limit >> 20} MB of this service; send fewer or smaller files, or raise "
        "INSULA_MAX_UPLOAD_MB."
        if files
        else f"The request is larger than the {limit >> 20} MB that a body has here at most, which no setting changes; "
        "send less at a time, and files as a form (multipart/form-data) to an address that takes them."
    )
    return RequestError(413, "too_large", message, {"Connection": "close"})


def status_of(error: InsulaError) -> int:
    """HTTP status: what the sender can mend is 4xx, what the service lacks is 5xx."""
    if isinstance(error, RequestError):
        return error.status
    if sandbox.was_killed(error):
        return 503
    if isinstance(error, LimitError):
        return 422
    if isinstance(error, ScanError | UnsuitableScanError | CohortError):
        return 422
    if isinstance(error, UsageError):
        return 400
    return 503 if isinstance(error, BundleError) else 500


def fault(error: InsulaError, hide: str = "") -> dict[str, str]:
    """The code and message of an error; `hide` is a folder that must not show in it."""
    message = str(error)
    if hide:
        message = message.replace(hide + "/", "").replace(hide, "the upload")
    code = error.fault_code if isinstance(error, RequestError) else error.code
    if sandbox.was_killed(error):
        code = "decoder_killed"
    return {"code": code, "message": message}


def response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The one error body."""
    content: dict[str, Any] = {"error": {"code": code, "message": message, "see": f"insula docs {see_of(code)}"}}
    return JSONResponse(content, status, dict(headers or {}))


def of_error(error: InsulaError) -> JSONResponse:
    """The response to one of our errors."""
    headers = error.headers if isinstance(error, RequestError) else {}
    said = fault(error)
    return response(status_of(error), said["code"], said["message"], headers)


def wants_page(request: Request) -> bool:
    """Whether a browser asks for a page: `Accept` names text/html, not below `/api` but for a log-in elsewhere."""
    path = request.url.path
    place = not path.startswith("/api/") or path.startswith(_BY_BROWSER)
    return place and "text/html" in request.headers.get("accept", "")
