"""Servers on this machine that behave badly by HTTP, each in one way, and that count who came."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

Behaviour = Callable[[socket.socket, threading.Event], None]
_PAUSE: Final = 0.05  # seconds between two bytes of a server that is slow and never silent for long
_BLOCK: Final = b" " * 65536
CODES: Final = (300, 301, 302, 303, 305, 307, 308)


@dataclass
class Server:
    """A running server. port: where; came: connections; asked: what they sent first."""

    port: int
    came: int = 0
    asked: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(behaviour: Behaviour, host: str = "127.0.0.1", http: bool = True) -> Iterator[Server]:
    """A server in threads of its own, until the block ends. http: it waits for the head of a request first."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    with socket.create_server((host, 0), backlog=128) as place:
        made = Server(int(place.getsockname()[1]))

        def one(line: socket.socket) -> None:
            with line, suppress(OSError):
                line.settimeout(30.0)
                asked = _request(line) if http else line.recv(1 << 16)
                made.asked.append(asked)
                behaviour(line, over)

        def accept() -> None:
            while not over.is_set():
                try:
                    line, _ = place.accept()
                except OSError:
                    return
                made.came += 1
                threads.append(threading.Thread(target=one, args=(line,), daemon=True))
                threads[-1].start()

        first = threading.Thread(target=accept, daemon=True)
        first.start()
        try:
            yield made
        finally:
            over.set()
            with suppress(OSError):
                place.shutdown(socket.SHUT_RDWR)
            for thread in (first, *threads):
                thread.join(30)
                assert not thread.is_alive()


def _request(line: socket.socket) -> bytes:
    """A request's head, and of its body what came along."""
    found = b""
    while b"\r\n\r\n" not in found:
        block = line.recv(1 << 16)
        if not block:
            break
        found += block
    return found


def said(body: bytes, kind: str = "application/json", status: str = "200 OK", more: str = "") -> Behaviour:
    """Answers at once, and whole."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    )

    def answer(line: socket.socket, over: threading.Event) -> None:
        line.sendall(head.encode() + body)

    return answer


def redirect(code: int, to: str) -> Behaviour:
    """Points to another address."""
    return said(b"", status=f"{code} Elsewhere", more=f"Location: {to}\r\n")


def _head(length: str, more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}{more}\r\n".encode()


def hang(line: socket.socket, over: threading.Event) -> None:
    """Takes the request and says nothing."""
    over.wait()


def drip_head(line: socket.socket, over: threading.Event) -> None:
    """Sends headers without end, a byte at a time."""
    line.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not over.wait(_PAUSE):
        line.sendall(b"x")


def drip_body(line: socket.socket, over: threading.Event) -> None:
    """Sends a long body, a byte at a time."""
    line.sendall(_head("Content-Length: 100000000\r\n"))
    while not over.wait(_PAUSE):
        line.sendall(b" ")


def drip_chunks(line: socket.socket, over: threading.Event) -> None:
    """Sends a body of chunks of one byte each, without end."""
    line.sendall(_head("Transfer-Encoding: chunked\r\n"))
    while not over.wait(_PAUSE):
        line.sendall(b"1\r\n \r\n")


def informs(line: socket.socket, over: threading.Event) -> None:
    """Says `continue` for ever."""
    while not over.is_set():
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        over.wait(0.001)


def endless(line: socket.socket, over: threading.Event) -> None:
    """Sends a body without end, as fast as it is taken."""
    line.sendall(_head(""))
    while not over.is_set():
        line.sendall(_BLOCK)


def headers(line: socket.socket, over: threading.Event) -> None:
    """Sends headers without end, as fast as they are taken."""
    line.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        line.sendall(b"X-Filler: " + b"y" * 1000 + b"\r\n")


def half(line: socket.socket, over: threading.Event) -> None:
    """Hangs up in the middle of an answer."""
    line.sendall(_head("Content-Length: 500\r\n") + b'{"half":')


def reset(line: socket.socket, over: threading.Event) -> None:
    """Breaks the connection off."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def garbage(line: socket.socket, over: threading.Event) -> None:
    """Speaks no HTTP."""
    line.sendall(bytes(range(256)) * 40)


bomb: Final = said(gzip.compress(b" " * (64 << 20)), more="Content-Encoding: gzip\r\n")
page: Final = said(b"<html>Welcome</html>", "text/html")
deep: Final = said(b"[" * 200_000)
numbers: Final = said(b'{"a": ' + b"9" * 200_000 + b"}")
nothing: Final = said(b"", status="204 No Content")
failing: Final = said(b"oops", "text/plain", "500 Broken")
loops: Final = said(b"", status="302 Elsewhere", more="Location: /\r\n")

BEHAVIOURS: Final[dict[str, Behaviour]] = {
    "hangs": hang, "drips its head": drip_head, "drips its body": drip_body, "drips chunks": drip_chunks,
    "says continue for ever": informs, "sends a body without end": endless, "sends headers without end": headers,
    "hangs up halfway": half, "breaks off": reset, "speaks no HTTP": garbage, "sends a bomb": bomb,
    "sends a page": page, "sends deep JSON": deep, "sends a number without end": numbers, "fails": failing,
    "points at itself": loops,
}  # fmt: skip
