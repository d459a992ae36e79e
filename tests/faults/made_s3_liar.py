"""An object store that works, is down, slow, or lies, as it is told to: moto's server behind a server of ours."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from unittest import mock

from tests.infer.made_s3 import bucket

_ERROR: Final = "<?xml version='1.0'?><Error><Code>{}</Code><Message>planted-words</Message></Error>"
_HOP: Final = {"connection", "transfer-encoding", "content-length", "date", "server", "keep-alive"}
CANNED: Final = {  # what is said in place of the store's answer
    "fails": (500, _ERROR.format("InternalError").encode()),
    "asks to slow down": (503, _ERROR.format("SlowDown").encode()),
    "gives no access": (403, _ERROR.format("AccessDenied").encode()),
    "has lost the bucket": (404, _ERROR.format("NoSuchBucket").encode()),
    "sends a page": (200, b"<html>Welcome</html>"),
    "asks with a code of its own": (418, b"\xff\xfe no text"),
}


@dataclass
class Answer:
    """An answer of the store."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


Lie = Callable[[str, Answer], Answer]


def other_bytes(method: str, said: Answer) -> Answer:
    """What is read is not what was put."""
    body = bytes([said.body[0] ^ 1]) + said.body[1:] if method == "GET" and said.body else said.body
    kept = [(name, value) for name, value in said.headers if not name.lower().startswith("x-amz-checksum")]
    return Answer(said.status, kept, body)


def shorter(method: str, said: Answer) -> Answer:
    """What is read is shorter than what was put, and says so."""
    return other_bytes("HEAD", Answer(said.status, said.headers, said.body[: len(said.body) // 2]))


LIES: Final[dict[str, Lie]] = {"gives other bytes": other_bytes, "gives half the bytes": shorter}
TORN: Final = ("is down", "hangs", "drips", "breaks off", "hangs up halfway", "speaks no HTTP")
KEEPS_NOTHING: Final = "says that it kept and did not"
MODES: Final = (*TORN, *CANNED, *LIES, KEEPS_NOTHING, "is slow")


@dataclass
class Store:
    """The store. mode: "" where it works, or one of MODES; asked: requests while it did not; over: it is to end."""

    address: str
    behind: tuple[str, int]
    mode: str = ""
    asked: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def doing(self, mode: str) -> Iterator[None]:
        """The store does so, as long as the block runs."""
        self.mode = mode
        try:
            yield
        finally:
            self.mode = ""


def _handler(store: Store) -> type[BaseHTTPRequestHandler]:
    class Between(BaseHTTPRequestHandler):
        """Passes requests on, or does not. Each connection is for one request, so that a mode holds at once."""

        protocol_version = "HTTP/1.1"

        def _passed(self) -> None:
            sent = self._sent()
            mode = store.mode
            store.asked += bool(mode)
            self.close_connection = True
            if mode in TORN:
                self._torn(mode)
                return
            if mode in CANNED:
                self._say(Answer(CANNED[mode][0], [("Content-Type", "application/xml")], CANNED[mode][1]))
                return
            if mode == "is slow":
                time.sleep(0.3)
            if mode == KEEPS_NOTHING and self.command == "PUT":
                self._say(Answer(200, [("ETag", '"0"')], b""))
                return
            said = self._asked(sent)
            self._say(LIES[mode](self.command, said) if mode in LIES else said)

        def _sent(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                found = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _torn(self, mode: str) -> None:
            if mode == "hangs":
                store.over.wait()
            elif mode == "drips":
                self.wfile.write(b'HTTP/1.1 200 OK\r\nETag: "0"\r\nX-Amz-Meta-A: ')
                with contextlib.suppress(OSError):
                    while not store.over.wait(0.05):
                        self.wfile.write(b"x")
            elif mode == "hangs up halfway":
                self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\nETag: "0"\r\n\r\nhalf')
            elif mode == "speaks no HTTP":
                self.wfile.write(bytes(range(256)) * 40)
            else:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        def _asked(self, sent: bytes) -> Answer:
            line = http.client.HTTPConnection(*store.behind, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP | {"expect"}}
            line.request(self.command, self.path, sent, headers)
            got = line.getresponse()
            body = got.read()
            line.close()
            kept = [(name, value) for name, value in got.getheaders() if name.lower() not in _HOP]
            if self.command == "HEAD":
                kept.append(("Content-Length", got.headers["Content-Length"] or "0"))
            return Answer(got.status, kept, body)

        def _say(self, said: Answer) -> None:
            self.send_response_only(said.status)
            for name, value in said.headers:
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(said.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said.body)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    for method in ("GET", "PUT", "POST", "DELETE", "HEAD"):
        setattr(Between, f"do_{method}", Between._passed)
    return Between


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked gave up."""


@contextmanager
def liar(folder: Path) -> Iterator[Store]:
    """Such a store, with an empty bucket in it; it works until it is told otherwise."""
    with bucket(folder) as address:
        host, _, port = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://").partition(":")
        store = Store(address, (host, int(port)))
        server = _Server(("127.0.0.1", 0), _handler(store))
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            with mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}):
                yield store
        finally:
            store.over.set()
            server.shutdown()
            server.server_close()
            serving.join()
