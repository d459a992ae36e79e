"""A client that is slow, or that only opens lines, keeps nobody else out."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from insula.serve import connections
from insula.serve.connections import Connection, Patience, allow_handles, sweep
from insula.serve.run import socket_on

pytestmark = pytest.mark.serve
ASK = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SHORT = Patience(head=0.2, body=0.2, answer=0.2, rate=1 << 40, idle=0.0)
PATIENCE = 60.0


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says how long the body was, in an answer that is longer than what a system keeps for a client."""
    assert scope["type"] == "http"
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    answer = b"x" * (64 << 20 if scope["path"] == "/long" else 2)
    headers = [(b"content-length", str(len(answer)).encode()), (b"x-length", str(length).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Server(uvicorn.Server):
    """A server that looks at its connections ten times a second."""

    async def on_tick(self, counter: int) -> bool:
        sweep(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)


@contextmanager
def listening(patience: Patience, most: int = 1024) -> Iterator[tuple[Callable[[bytes], socket.socket], Server]]:
    """What opens a line to a server and sends a beginning, and the server."""
    kind = type("Short", (Connection,), {"patience": patience, "most": most})
    place, lines = socket_on("127.0.0.1", 0), contextlib.ExitStack()
    config = uvicorn.Config(app, http=kind, log_level="critical", lifespan="off", ws="none", timeout_keep_alive=60)
    server = Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()

    def opened(sent: bytes) -> socket.socket:
        line = lines.enter_context(socket.create_connection(place.getsockname(), PATIENCE))
        line.sendall(sent)
        return line

    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with lines:
            yield opened, server
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        place.close()


def ended(line: socket.socket) -> bool:
    """Whether the server closes a line before a test loses patience; what it says until then is read."""
    try:
        while line.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nab"],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_client_that_stops_half_way_is_let_go_of(sent: bytes) -> None:
    with listening(SHORT) as (opened, _):
        assert ended(opened(sent))


def test_a_client_that_drips_is_let_go_of() -> None:
    with listening(SHORT) as (opened, _):
        line = opened(b"GET / HTTP/1.1\r\n")
        line.settimeout(0.02)
        end, open_still = time.monotonic() + PATIENCE, True
        while open_still:
            assert time.monotonic() < end
            try:
                line.sendall(b"a")
                open_still = line.recv(1) != b""
            except TimeoutError:
                continue
            except ConnectionError:
                open_still = False


def test_bytes_that_came_fast_buy_no_long_pause() -> None:
    with listening(Patience(head=0.2, body=0.2, answer=0.2, rate=16.0)) as (opened, _):
        # at this rate it would have four hours
        assert ended(opened(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n" + bytes(250_000)))


def test_a_client_that_never_reads_its_answer_is_let_go_of() -> None:
    with listening(SHORT) as (opened, server):
        line, end = opened(b"GET /long HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), time.monotonic() + PATIENCE
        while not server.server_state.total_requests or server.server_state.connections:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert ended(line)


def test_a_slow_but_steady_client_and_an_idle_one_between_requests_are_served() -> None:
    with listening(Patience(head=5.0, body=5.0, answer=5.0, rate=16)) as (opened, _):
        line = opened(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            line.sendall(b"a")
            time.sleep(0.05)
        assert b"x-length: 8" in answered(line, b"")
        assert b" 200 " in answered(line, ASK)


def test_many_requests_on_one_line_are_none_that_lasts_too_long() -> None:
    with listening(SHORT) as (opened, _):
        line, end = opened(b""), time.monotonic() + 1.0
        while time.monotonic() < end:
            assert b" 200 " in answered(line, ASK)


def test_a_line_on_which_nothing_is_asked_makes_room_and_one_at_work_does_not() -> None:
    with listening(Patience(idle=0.0), most=3) as (opened, _):
        busy = opened(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert b" 100 " in busy.recv(4096)  # it is at work from now on
        first = opened(b"GET")
        others = [opened(b"") for _ in range(2)]
        assert ended(first)
        assert b" 200 " in answered(opened(b""), ASK)
        assert b" 200 " in answered(busy, b"ab")
        assert len(others) == 2


def test_among_lines_that_came_all_at_once_the_first_makes_room_and_not_who_comes_to_ask() -> None:
    with listening(Patience(idle=PATIENCE), most=3) as (opened, _):
        lines = [opened(b"GET") for _ in range(3)]
        assert b" 200 " in answered(opened(b""), ASK)
        assert ended(lines[0])
        assert b" 200 " in answered(lines[2], ASK[3:])


def test_where_all_are_at_work_the_newest_has_to_go() -> None:
    with listening(Patience(idle=PATIENCE), most=2) as (opened, _):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        lines = [opened(head) for _ in range(2)]
        assert all(b" 100 " in line.recv(4096) for line in lines)
        with contextlib.suppress(ConnectionError):  # closed before it said anything
            assert ended(opened(ASK))
        assert all(b" 200 " in answered(line, b"ab") for line in lines)


def test_where_no_line_is_idle_the_slowest_body_makes_room() -> None:
    with listening(Patience(idle=0.0), most=2) as (opened, server):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        lines = [opened(head % length) for length in (99, 9999)]
        assert all(b" 100 " in line.recv(4096) for line in lines)
        lines[1].sendall(bytes(9000))
        end = time.monotonic() + PATIENCE
        while (
            len([pace for pace in paces(server) if pace is not None]) < 2
            or max(filter(None, paces(server)), default=0) < 1000
        ):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert b" 200 " in answered(opened(b""), ASK)
        assert ended(lines[0])
        assert b"x-length: 9999" in answered(lines[1], bytes(999))


def paces(server: Server) -> list[float | None]:
    """How fast the bodies on a server's lines are; more than a thousand stands for the nine thousand bytes of one."""
    lines = [one for one in server.server_state.connections if isinstance(one, Connection)]
    return [one.pace(one._since + 1.0) for one in lines]


def answered(line: socket.socket, sent: bytes) -> bytes:
    """What a server says to more of a request."""
    line.sendall(sent)
    found = b""
    while not found.endswith(b"\r\n\r\nxx"):
        part = line.recv(4096)
        assert part, found
        found += part
    return found


def test_this_process_may_open_as_many_files_as_the_system_lets_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        allow_handles()
        now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert now == (connections._HANDLES if hard == resource.RLIM_INFINITY else min(hard, connections._HANDLES))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
