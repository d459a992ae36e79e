"""What stands before every route: the key, the body's limit, the security headers, the last net for faults.

Written as one plain ASGI layer around the whole application, so that a route that is added later is behind it without
anybody thinking of it.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import time
import traceback
from pathlib import PurePath

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from insula.core.log import get
from insula.serve import trouble
from insula.serve.api import problem
from insula.serve.burden import Body, Burden
from insula.serve.faults import RequestError, too_large
from insula.serve.settings import Settings, is_loopback

OPEN_PATHS = frozenset({"/health"})
# where files come in; any other body is a few kilobytes of JSON, and what is read before it is known who sends it
FILE_PATHS = re.compile(r"/|/predict|/batch_predict|/api/v1/studies(/[0-9a-f]+/files)?|/dicom-web/studies(/[0-9.]+)?")
STREAMS = re.compile(r"/api/v1/jobs/[0-9a-f]{32}/events")  # answers that go on until a job has ended
SMALL = 1 << 20
_DIGITS = 18  # of a length; Python takes no number of thousands of them
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/?#@\\\s]+)(:[0-9]{0,5})?")
_POLICY = "Content-Security-Policy"
_CACHE = "Cache-Control"
_KEPT = "/assets/"  # scripts and style of the pages, which tell of nobody
HEADERS = {
    _POLICY: (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    _CACHE: "no-store",
}


class Shield:
    """The ASGI layer; refuses before a byte of the body is read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.burden = Burden(settings.max_bytes)
        self.log = get("serve")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, and put the security headers on whatever comes back."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websocket is served
            await send({"type": "websocket.close", "code": 1008})
            return
        started = time.perf_counter()
        status = 0

        async def armed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    own = name == _POLICY or (name == _CACHE and scope["path"].startswith(_KEPT))
                    if not own or name not in headers:  # pages have policies of their own, their scripts may be kept
                        headers[name] = value
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]

        try:
            self._admit(scope)
            if scope["path"] in OPEN_PATHS:  # whoever watches over the service is always answered
                await self.app(scope, self._measured(scope, receive, Body(self.burden)), armed)
            elif STREAMS.fullmatch(scope["path"]):
                with self.burden.stream() as body:
                    await self.app(scope, self._measured(scope, receive, body), armed)
            else:
                with self.burden.request() as body:
                    if scope["method"] in ("GET", "HEAD") or not _has_body(scope):  # whose body nobody would wait for
                        body.whole()
                    await self.app(scope, self._measured(scope, receive, body), armed)
        except RequestError as error:
            if status:  # an answer is on its way already, which this one would only spoil
                raise
            scope.setdefault("state", {})["fault"] = error.fault_code
            await problem.of_path(scope["path"], error)(scope, receive, armed)
        except Exception as error:  # the last net: a fault becomes a 500 without details, whatever it was
            mark = secrets.token_hex(4)
            self.log.error("fault", mark=mark, kind=type(error).__name__, at=_places(error))
            if status:
                raise
            known = trouble.of(error)
            if known is not None:
                scope.setdefault("state", {})["fault"] = known.fault_code
                await problem.of_path(scope["path"], known)(scope, receive, armed)
                return
            said = f"The service failed on this request; its log has the place under the mark {mark}."
            await problem.at(scope["path"], 500, "internal", said)(scope, receive, armed)
        finally:
            route = getattr(scope.get("route"), "path", "(none)")
            took = round((time.perf_counter() - started) * 1000)
            self.log.info("request", method=scope["method"], route=route, status=status, ms=took)

    def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if "\0" in scope["path"] or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
            raise RequestError(400, "bad_text", "The address holds a NUL character, which no name has.")
        if "transfer-encoding" in headers and "content-length" in headers:
            # a proxy may have gone by the other one, and taken the rest for a request of somebody else (RFC 9112, 6.3)
            said = "The request has a Content-Length and a Transfer-Encoding; send one of them."
            raise RequestError(400, "two_lengths", said, {"Connection": "close"})
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] not in ("GET", "HEAD"):
            raise RequestError(403, "cross_site", "A page of another site sent this request; send it from here.")
        if self.settings.database:
            self._check_host(_host_name(headers.get("host", "")), (scope.get("server") or ("",))[0])
        elif self.settings.key:
            if scope["path"] not in OPEN_PATHS and not _shows_key(headers, self.settings.key):
                raise RequestError(
                    401,
                    "unauthorised",
                    "The request shows no valid key; send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
                    {"WWW-Authenticate": "Bearer"},
                )
        elif not is_loopback(_host_name(headers.get("host", ""))):
            # without a key only this machine may ask: a name that was re-pointed here by a web page may not
            raise RequestError(403, "host", "Without a key the service answers on localhost or 127.0.0.1 only.")

    def _check_host(self, host: str, here: str) -> None:
        """Answer under the names of the settings alone, on this machine, and under the address that the request came
        to, as who watches over one replica of many asks; any name where none is set and others can reach the service.
        """
        named = self.settings.names
        if is_loopback(host) or host.lower() in named or not (named or is_loopback(self.settings.host)):
            return
        if _is_address(here) and host.strip("[]") == here:  # an address is no name that could be pointed elsewhere
            return
        raise RequestError(403, "host", "The service does not answer under this name; see INSULA_HOSTS.")

    def _measured(self, scope: Scope, receive: Receive, body: Body) -> Receive:
        files = FILE_PATHS.fullmatch(scope["path"]) is not None and _kind(scope).startswith("multipart/")
        limit = self.settings.max_bytes if files else min(SMALL, self.settings.max_bytes)
        claimed = Headers(scope=scope).get("content-length", "")
        if claimed and (not claimed.isdecimal() or len(claimed) > _DIGITS or int(claimed) > limit):
            raise too_large(limit, files)
        counting = scope["path"] not in OPEN_PATHS and not STREAMS.fullmatch(scope["path"])

        async def counted() -> Message:
            message = await receive()
            body.add(len(message.get("body", b"")))
            if body.bytes > limit:
                raise too_large(limit, files)
            if counting and message["type"] == "http.request" and not message.get("more_body", False):
                body.whole()
            return message

        return counted


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _shows_key(headers: Headers, key: str) -> bool:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    shown = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return hmac.compare_digest(shown.encode("latin-1", "replace"), key.encode())


def _kind(scope: Scope) -> str:
    return Headers(scope=scope).get("content-type", "").strip().lower()


def _host_name(host: str) -> str:
    """The name in a Host header without its port, "" for what is none, as `127.0.0.1:1@elsewhere` (RFC 9110, 7.2)."""
    found = _HOST.fullmatch(host)
    return found[1] if found else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _places(error: BaseException) -> list[str]:
    """File, line and function of the last frames: where, and nothing of what the values were."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return [f"{PurePath(f.filename).name}:{f.lineno} {f.name}" for f in frames]
