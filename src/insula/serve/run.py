"""Listening: the application on uvicorn, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Final

import uvicorn

from insula.core.errors import UsageError
from insula.core.log import get, warned
from insula.serve import connections
from insula.serve.app import create_app
from insula.serve.settings import Settings, is_loopback

ENDED: Final = "ended"  # said in place of an address
_IN_THE_CLEAR: Final = "passwords and keys travel in the clear; put a proxy with TLS before this address"
_SWITCH: Final = 0.001  # seconds after which a busy thread lets the loop go on, which answers everybody; 0.005 is usual
# what the first scan needs and the start does not: imported while nobody waits for it
_SOON: Final = ("scipy.special", "scipy.sparse")


class _Server(uvicorn.Server):
    """A server that says when it is ready, and closes connections whose clients are too slow."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._swept = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()
            threading.Thread(target=lambda: [import_module(name) for name in _SOON], daemon=True).start()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, where there is not too much to do; look at the connections each second."""
        now = asyncio.get_running_loop().time()
        if now - self._swept >= 1.0:
            self._swept = now
            connections.sweep(self.server_state.connections, now)
        return await super().on_tick(counter)


def listen(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests at work are finished first.

    say: gets the address once it answers, and ENDED when it has ended in order.

    Raises UsageError when the address cannot be had, and what `create_app` raises.
    """
    app = create_app(settings)
    sys.setswitchinterval(_SWITCH)
    connections.allow_handles()
    place = socket_on(settings.host, settings.port)
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{shown}:{place.getsockname()[1]}"
    if not is_loopback(settings.host):
        get("serve").warning("plain http", host=settings.host, next=_IN_THE_CLEAR)
    config = uvicorn.Config(
        app,
        log_config=None,  # what uvicorn logs comes by the service's own log, see `core.log.adopt`
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=connections.Connection,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=30,
        ws="none",
    )
    server = _Server(config, lambda: say(address))
    try:
        with suppress(KeyboardInterrupt), _ended_in_order(), _warnings_logged():
            server.run(sockets=[place])
        if server.started:
            say(ENDED)
    finally:
        place.close()


@contextmanager
def _warnings_logged() -> Iterator[None]:
    """Let warnings of Python's come as lines of the log, which may be read as JSON."""
    before, warnings.showwarning = warnings.showwarning, warned
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM, which uvicorn raises once more when it is done, end nothing: decoders are yet to be put away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def socket_on(host: str, port: int) -> socket.socket:
    """A listening socket; UsageError with the reason when there is none to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off where the protocol is named alone; with it each answer waits some 40 ms
    place = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind((host.strip("[]"), port))
        place.listen(256)
        return place
    except OSError as error:
        place.close()
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"Port {port} on '{host}' cannot be listened on ({reason}); choose another with --port or --host."
        ) from error
