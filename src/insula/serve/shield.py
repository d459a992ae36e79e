"""What stands before every route: the key, the body's limit, the security headers, the last net for faults.

Written as one plain ASGI layer around the whole application, so that a route that is added later is behind it without
anybody thinking of it.
"""

from __future__ import annotations

import hmac
import secrets
import time
import traceback
from pathlib import PurePath

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from insula.core.log import get
from insula.serve.api import problem
from insula.serve.faults import RequestError, too_large
from insula.serve.settings import Settings, is_loopback

OPEN_PATHS = frozenset({"/health"})
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
            await self.app(scope, self._measured(scope, receive), armed)
        except RequestError as error:
            scope.setdefault("state", {})["fault"] = error.fault_code
            await problem.of_path(scope["path"], error)(scope, receive, armed)
        except Exception as error:  # the last net: a fault becomes a 500 without details, whatever it was
            mark = secrets.token_hex(4)
            self.log.error("fault", mark=mark, kind=type(error).__name__, at=_places(error))
            if status:
                raise
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
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] not in ("GET", "HEAD"):
            raise RequestError(403, "cross_site", "A page of another site sent this request; send it from here.")
        if self.settings.database:
            self._check_host(_host_name(headers.get("host", "")))
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

    def _check_host(self, host: str) -> None:
        """Answer under the names of the settings alone, and on this machine; any name where none is set and others can
        reach the service.
        """
        named = self.settings.names
        if is_loopback(host) or host.lower() in named or not (named or is_loopback(self.settings.host)):
            return
        raise RequestError(403, "host", "The service does not answer under this name; see INSULA_HOSTS.")

    def _measured(self, scope: Scope, receive: Receive) -> Receive:
        limit = self.settings.max_bytes
        claimed = Headers(scope=scope).get("content-length", "")
        if claimed and (not claimed.isdecimal() or int(claimed) > limit):
            raise too_large(limit)
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise too_large(limit)
            return message

        return counted


def _shows_key(headers: Headers, key: str) -> bool:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    shown = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return hmac.compare_digest(shown.encode("latin-1", "replace"), key.encode())


def _host_name(host: str) -> str:
    return host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _places(error: BaseException) -> list[str]:
    """File, line and function of the last frames: where, and nothing of what the values were."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return [f"{PurePath(f.filename).name}:{f.lineno} {f.name}" for f in frames]
