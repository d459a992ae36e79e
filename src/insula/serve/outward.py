"""Requests to other machines, each with an end of its own.

httpx bounds the wait for the next piece of an answer, and not the answer: a server that sends a byte every few seconds
is never silent for long, and would hold the thread that asks for days.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from threading import Thread
from typing import Any, Final

import httpcore
import httpx

_BLOCK: Final = 16 << 10  # bytes that are sent at a time, each within what is left
_NAMES: Final = 10.0  # seconds to look up a name


class Bounded(httpx.BaseTransport):
    """A transport whose requests end in time, whatever the server does.

    seconds: for the whole of a request, from the name's look-up to the last byte of the answer, beside the client's own
    time-outs. verify: whom to trust, None where nothing is encrypted. rate: bytes of a request and of an answer's body
    that put the end off by one second; 0 for an end that nothing puts off. proxy: the address of a proxy, "" for none.
    One request at a time. Raises httpx's own errors.
    """

    def __init__(self, seconds: float, verify: ssl.SSLContext | None, rate: float = 0.0, proxy: str = "") -> None:
        self._end, self._plain = _End(seconds, rate), verify is None
        given: dict[str, Any] = {"ssl_context": verify, "network_backend": _Backend(self._end)}
        self._pool: httpcore.ConnectionPool
        if proxy:
            address = httpx.URL(proxy)
            auth = (address.username, address.password) if address.username else None
            self._pool = httpcore.HTTPProxy(str(address.copy_with(userinfo=b"")), proxy_auth=auth, **given)
        else:
            self._pool = httpcore.ConnectionPool(**given)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer; its body comes as it is read, within the same bound."""
        if self._plain and request.url.scheme != "http":
            raise httpx.UnsupportedProtocol("nobody is trusted here")
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("the request's body cannot be read without an event loop")
        made = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        self._end.begin()
        with _as_httpx():
            answer = self._pool.handle_request(made)
        if not isinstance(answer.stream, Iterable):
            raise TypeError("the answer's body cannot be read without an event loop")
        self._end.answered = True
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


def addresses(host: str, port: int, seconds: float = _NAMES) -> Sequence[str]:
    """The addresses behind a host's name. Raises OSError where there are none in so many seconds."""
    try:
        return (str(ip_address(host.strip("[]"))),)
    except ValueError:
        pass
    found: list[str] = []
    wrong: list[OSError] = []

    def look() -> None:
        try:
            found.extend(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            wrong.append(error if isinstance(error, OSError) else OSError("no name"))

    # a look-up cannot be interrupted: one that takes too long ends by itself, and nobody waits for it
    thread = Thread(target=look, name="look-up", daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if wrong:
        raise wrong[0]
    if thread.is_alive() or not found:
        raise TimeoutError("the name was not found in time")
    return tuple(dict.fromkeys(found))


class _End:
    """When a request is over."""

    def __init__(self, seconds: float, rate: float) -> None:
        self._seconds, self._rate, self._at = seconds, rate, 0.0
        self.answered = False

    def begin(self) -> None:
        self._at, self.answered = time.monotonic() + self._seconds, False

    def moved(self, count: int) -> None:
        if self._rate:
            self._at += count / self._rate

    def left(self, timeout: float | None, error: type[Exception]) -> float:
        left = self._at - time.monotonic()
        if left <= 0.0:
            raise error("the whole of the request took too long")
        return left if timeout is None else min(left, timeout)


class _Backend(httpcore.NetworkBackend):
    """Connections to the addresses behind a name, one after the other, all within the bound."""

    def __init__(self, end: _End) -> None:
        self._end, self._plain = end, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        over = httpcore.ConnectTimeout
        try:
            found = addresses(host, port, self._end.left(timeout, over))
        except OSError as error:
            raise httpcore.ConnectError("the name stands for no address") from error
        failed: Exception = httpcore.ConnectError("the name stands for no address")
        for address in found:
            left = self._end.left(timeout, over)
            try:
                made = self._plain.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _Stream(made, self._end)
        raise failed


class _Stream(httpcore.NetworkStream):
    """A connection that ends with its request."""

    def __init__(self, plain: httpcore.NetworkStream, end: _End) -> None:
        self._plain, self._end = plain, end

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        found = self._plain.read(max_bytes, self._end.left(timeout, httpcore.ReadTimeout))
        if self._end.answered:  # heads that never end are no progress
            self._end.moved(len(found))
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _BLOCK):
            block = buffer[at : at + _BLOCK]
            self._plain.write(block, self._end.left(timeout, httpcore.WriteTimeout))
            self._end.moved(len(block))

    def close(self) -> None:
        self._plain.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._end.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._plain.start_tls(ssl_context, server_hostname, left), self._end)

    def get_extra_info(self, info: str) -> Any:
        return self._plain.get_extra_info(info)


class _Body(httpx.SyncByteStream):
    """The body of an answer."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._plain

    def close(self) -> None:
        self._plain.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Errors of httpcore as those of httpx, which have the same names."""
    try:
        yield
    except Exception as error:
        found = next((getattr(httpx, one.__name__, None) for one in type(error).__mro__), None)
        if type(error).__module__.startswith("httpcore") and found is not None:
            raise found(str(error)) from error
        raise
