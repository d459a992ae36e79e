"""Requests to other machines end in time as a whole, however the other machine spends it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.faults import made_servers as servers

from insula.serve import outward
from insula.serve.outward import Bounded, addresses

pytestmark = pytest.mark.serve
FAR = 30.0  # seconds: the bound is one, and a server that drips would take days


def ask(url: str, seconds: float = 1.0, **more: Any) -> bytes:
    with httpx.Client(transport=Bounded(seconds, None, **more), timeout=20.0, trust_env=False) as client:
        return client.get(url).content


def test_an_answer_comes_as_it_is() -> None:
    with servers.serving(servers.said(b"[1, 2]", more="X-Told: yes\r\n")) as server:
        with httpx.Client(transport=Bounded(20.0, None), trust_env=False) as client:
            answer = client.post(f"{server.url}/a?b=c", content=b"sent", headers={"X-Asked": "1"})
        assert (answer.status_code, answer.content, answer.headers["x-told"]) == (200, b"[1, 2]", "yes")
        assert server.asked[0].startswith(b"POST /a?b=c HTTP/1.1\r\n")
        assert b"X-Asked: 1" in server.asked[0]


@pytest.mark.parametrize("behaviour", ["drips its head", "drips its body", "drips chunks", "says continue for ever"])
def test_a_server_that_drips_is_given_up(behaviour: str) -> None:
    began = time.monotonic()
    with servers.serving(servers.BEHAVIOURS[behaviour]) as server, pytest.raises(httpx.TimeoutException):
        ask(server.url)
    assert time.monotonic() - began < FAR


def test_a_server_that_reads_nothing_is_given_up() -> None:
    def behaviour(line: socket.socket, over: threading.Event) -> None:
        over.wait()

    with (
        servers.serving(behaviour) as server,
        httpx.Client(transport=Bounded(1.0, None), timeout=20.0, trust_env=False) as client,
        pytest.raises(httpx.TimeoutException),
    ):
        client.post(server.url, content=bytes(32 << 20))


def test_bytes_that_come_fast_enough_put_the_end_off_and_heads_do_not() -> None:
    def slowly(line: socket.socket, over: threading.Event) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n")
        for _ in range(40):
            over.wait(0.05)
            line.sendall(bytes(1000))

    with servers.serving(slowly) as server:
        assert len(ask(server.url, 1.0, rate=100.0)) == 40_000
        with pytest.raises(httpx.ReadTimeout):
            ask(server.url, 1.0)
    with servers.serving(servers.drip_head) as server, pytest.raises(httpx.ReadTimeout):
        ask(server.url, 1.0, rate=1000.0)


def test_a_name_is_not_looked_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def resolver(*asked: Any, **more: Any) -> list[Any]:
        over.wait(FAR)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    began = time.monotonic()
    try:
        with pytest.raises(httpx.ConnectError):
            ask("http://slow.example/")
        with pytest.raises(TimeoutError):
            addresses("slow.example", 80, 0.1)
        assert addresses("127.0.0.1", 80) == ("127.0.0.1",)
        assert addresses("[::1]", 80) == ("::1",)
        assert time.monotonic() - began < FAR / 2
    finally:
        over.set()


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.serving(servers.said(b"here")) as server:
        monkeypatch.setattr(outward, "addresses", lambda host, port, seconds: ("127.0.0.9", "127.0.0.1"))
        assert ask(f"http://named.example:{server.port}/", 60.0) == b"here"
        assert b"Host: named.example" in server.asked[0]


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (servers.half, httpx.RemoteProtocolError),
        (servers.garbage, httpx.RemoteProtocolError),
        (servers.reset, (httpx.RemoteProtocolError, httpx.ReadError)),
        (servers.headers, httpx.RemoteProtocolError),
    ],
)
def test_errors_are_those_of_httpx(behaviour: servers.Behaviour, error: Any) -> None:
    with servers.serving(behaviour) as server, pytest.raises(error):
        ask(server.url, 20.0)


def test_nobody_there_and_nobody_trusted() -> None:
    with pytest.raises(httpx.ConnectError):
        ask("http://127.0.0.1:9/")
    with pytest.raises(httpx.UnsupportedProtocol):
        ask("https://127.0.0.1:9/")


def test_a_proxy_is_asked_in_the_servers_place() -> None:
    with servers.serving(servers.said(b"by proxy")) as proxy:
        assert ask("http://far.example/x", 20.0, proxy=f"http://me:word@127.0.0.1:{proxy.port}") == b"by proxy"
        assert proxy.asked[0].startswith(b"GET http://far.example/x HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic bWU6d29yZA==" in proxy.asked[0]


def test_a_client_may_ask_again_after_a_request_that_was_given_up() -> None:
    answers: list[Callable[[socket.socket, threading.Event], None]] = [servers.hang, servers.said(b"later")]
    with (
        servers.serving(lambda line, over: answers.pop(0)(line, over)) as server,
        httpx.Client(transport=(transport := Bounded(0.5, None)), trust_env=False, timeout=60.0) as client,
    ):
        with pytest.raises(httpx.TimeoutException):
            client.get(server.url)
        transport._end._seconds = 60.0
        assert client.get(server.url).content == b"later"
