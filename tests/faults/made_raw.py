"""A service on a socket, as `insula serve` listens, and requests sent to it byte by byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from insula.serve import connections
from insula.serve.run import socket_on

PATIENCE = 30.0  # seconds, against a hang alone


@contextmanager
def listening(app: FastAPI) -> Iterator[int]:
    """The port of an application that listens on this machine."""
    place = socket_on("127.0.0.1", 0)
    config = uvicorn.Config(
        app,
        log_level="critical",
        http=connections.Connection,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.01)
    try:
        yield int(place.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        place.close()


def sent(port: int, data: bytes) -> bytes:
    """All that comes back for some bytes, after which the sender says no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as one:
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        found = b""
        while piece := one.recv(1 << 16):
            found += piece
        return found
