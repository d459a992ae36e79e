"""What is seen of every request while records are kept: counted, and told to the trail where it was refused.

An answer about a patient that no handler told of is held back here, so that a route which forgets to cannot be used.
"""

from __future__ import annotations

import time
from typing import Final

from anyio import to_thread
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from insula.core.log import get
from insula.serve import trouble
from insula.serve.api.guard import OPEN, Act, is_quiet, permission_of
from insula.serve.monitor import metrics, traces
from insula.serve.monitor.metrics import Meter
from insula.serve.service import Service
from insula.serve.store.connect import writing

_MOST_NOBODY: Final = 60  # entries a minute about requests of nobody known: a flood must not fill the trail


class Watch:
    """An ASGI layer around the shield, whose refusals it tells too."""

    def __init__(self, app: ASGIApp, service: Service, meter: Meter) -> None:
        self.app = app
        self.service = service
        self.meter = meter
        self._minute, self._count, self._passed_over = 0, 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, look at the answer before it leaves, and count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        state = scope.setdefault("state", {})

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= 400:
                    await to_thread.run_sync(self._refused, scope, status)
                elif not _may_leave(scope.get("route"), state):
                    raise AssertionError(f"the route {_template(scope)} answered and told nobody")
            await send(message)

        try:
            with traces.span("request"):
                await self.app(scope, receive, seen)
        finally:
            took = time.perf_counter() - started
            metrics.observe_request(self.meter, scope["method"], _template(scope), status, took)
            if status >= 400:
                metrics.observe_refused(self.meter, state.get("fault", "http"))

    def _refused(self, scope: Scope, status: int) -> None:
        state = scope["state"]
        if state.get("told") or state.get("fault") in trouble.CODES:
            return  # a log-in that failed tells of itself; records that do not answer cannot be told, and would keep us
        act: Act | None = state.get("act")
        actor = act.caller.name if act else "anonymous"
        detail: dict[str, object] = {"status": status, "code": state.get("fault", "http"), "method": scope["method"]}
        if act is None and not self._may_tell(detail):
            return
        subject = "".join(c for c in _template(scope) if c.isalnum() or c in "/._-")
        outcome = "refused" if status < 500 else "failed"
        try:
            with writing(self.service.records) as connection:
                self.service.tell(connection, actor, "request", subject[:120], detail, outcome)
        except Exception as error:  # noqa: BLE001 - the request is refused all the same
            get("serve").error("trail", kind=type(error).__name__)

    def _may_tell(self, detail: dict[str, object]) -> bool:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        if self._count > _MOST_NOBODY:
            self._passed_over += 1
            return False
        if self._passed_over:
            detail["passed_over"], self._passed_over = self._passed_over, 0
        return True


def _may_leave(route: BaseRoute | None, state: dict[str, object]) -> bool:
    needs = None if route is None else permission_of(route)
    turned_away = bool(state.get("turned_away"))  # to the log-in page, with nothing seen
    return needs in (None, OPEN) or is_quiet(route) or turned_away or bool(state.get("told"))


def _template(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "(none)"))
