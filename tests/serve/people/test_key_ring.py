"""The keys of an issuer are asked for seldom, from one place, and kept while it does not answer."""

from __future__ import annotations

import gzip
import socket
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from itertools import islice

import pytest
from tests.faults import made_servers as servers
from tests.serve.people.issuer import LocalIssuer, rsa_key
from tests.serve.people.made import MINUTE, NOW

from insula.serve.faults import RequestError
from insula.serve.people import fetch, key_ring
from insula.serve.people.fetch import LARGEST, fetch_json
from insula.serve.people.key_ring import KeyRing

pytestmark = pytest.mark.serve
HOUR = timedelta(hours=1)


def ring(issuer: LocalIssuer) -> KeyRing:
    return KeyRing(f"{issuer.address}/keys")


def test_keys_are_fetched_once_an_hour(issuer: LocalIssuer) -> None:
    keys = ring(issuer)
    for minutes in (0, 1, 30, 59):
        assert keys.key("rsa", "RS256", NOW + minutes * MINUTE)
    assert issuer.asked["/keys"] == 1
    assert keys.key("rsa", "RS256", NOW + HOUR)
    assert issuer.asked["/keys"] == 2


def test_an_unknown_id_is_looked_for_once_a_minute_whatever_tokens_name(issuer: LocalIssuer) -> None:
    keys = ring(issuer)
    assert keys.key("rsa", "RS256", NOW)
    for n in range(20):
        assert keys.key(f"made-up-{n}", "RS256", NOW + timedelta(seconds=59)) is None
    assert issuer.asked["/keys"] == 1
    issuer.keys["new"] = rsa_key(1)
    assert keys.key("new", "RS256", NOW + MINUTE)
    assert issuer.asked["/keys"] == 2


def test_a_key_that_the_issuer_has_withdrawn_stops_counting(issuer: LocalIssuer) -> None:
    keys = ring(issuer)
    assert keys.key("rsa", "RS256", NOW)
    del issuer.keys["rsa"]
    assert keys.key("rsa", "RS256", NOW + HOUR) is None


def test_known_keys_outlive_a_silence_of_the_issuer_by_a_day(issuer: LocalIssuer) -> None:
    keys = ring(issuer)
    assert keys.key("rsa", "RS256", NOW)
    issuer.answers["/keys"] = (500, b"", {})
    assert keys.key("rsa", "RS256", NOW + 23 * HOUR)
    with pytest.raises(RequestError) as got:
        keys.key("rsa", "RS256", NOW + 24 * HOUR)
    assert (got.value.status, got.value.headers["Retry-After"]) == (503, "60")
    asked = issuer.asked["/keys"]
    with pytest.raises(RequestError):
        keys.key("rsa", "RS256", NOW + 24 * HOUR + MINUTE / 2)
    assert issuer.asked["/keys"] == asked
    del issuer.answers["/keys"]
    assert keys.key("rsa", "RS256", NOW + 24 * HOUR + MINUTE)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"[]", {}),
        (200, b"{", {}),
        (200, b"\xff", {}),
        (200, b"[" * 100_000, {}),
        (200, b"{" + b" " * LARGEST + b"}", {}),
        (200, gzip.compress(b"{" + b" " * 10_000_000 + b"}"), {"Content-Encoding": "gzip"}),
        (302, b"", {"Location": "/elsewhere"}),
        (404, b"{}", {}),
        (200, b"{}", {"Content-Length": "9999"}),
    ],
)
def test_a_bad_answer_is_no_key_set(issuer: LocalIssuer, status: int, body: bytes, headers: dict[str, str]) -> None:
    issuer.answers["/keys"] = (status, body, headers)
    with pytest.raises(RequestError) as got:
        ring(issuer).key("rsa", "RS256", NOW)
    assert (got.value.status, got.value.fault_code) == (503, "issuer_unreachable")
    assert set(issuer.asked) == {"/keys"}


def test_nobody_there_is_said_so() -> None:
    with pytest.raises(RequestError, match="does not answer"):
        fetch_json("http://127.0.0.1:9/keys")


def test_many_threads_ask_once(issuer: LocalIssuer) -> None:
    keys = ring(issuer)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: keys.key("rsa", "RS256", NOW), range(16)))
    assert all(found)
    assert issuer.asked["/keys"] == 1


@pytest.mark.parametrize("behaviour", ["drips its head", "drips its body", "drips chunks"])
def test_an_issuer_that_drips_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    monkeypatch.setattr(fetch, "SECONDS_IN_ALL", 0.5)
    with servers.serving(servers.BEHAVIOURS[behaviour]) as server, pytest.raises(RequestError) as got:
        fetch_json(f"{server.url}/keys")
    assert (got.value.status, got.value.fault_code) == (503, "issuer_unreachable")


def test_an_issuer_that_hangs_holds_few_threads_and_no_known_key(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, asking, go_on = ring(issuer), threading.Event(), threading.Event()
    assert keys.key("rsa", "RS256", NOW)

    def hangs(address: str) -> dict[str, object]:
        asking.set()
        assert go_on.wait(60)
        return fetch_json(address)

    monkeypatch.setattr(key_ring, "fetch_json", hangs)
    with ThreadPoolExecutor(64) as pool:
        first = pool.submit(keys.key, "unknown", "RS256", NOW + MINUTE)
        assert asking.wait(60)
        assert keys.key("rsa", "RS256", NOW + MINUTE), "a key that is known waits for nobody"
        others = [pool.submit(keys.key, "unknown", "RS256", NOW + MINUTE) for _ in range(2 * key_ring.WAITING)]
        busy = list(islice(as_completed(others, 60), key_ring.WAITING))  # the rest waits for the first
        go_on.set()
        assert first.result(60) is None
        assert {getattr(one.exception(), "fault_code", "") for one in busy} == {"issuer_busy"}
        assert all(one.result(60) is None for one in others if one not in busy)


def test_nobody_is_turned_away_for_old_keys_while_a_silent_issuer_is_asked_again(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, asking, go_on = ring(issuer), threading.Event(), threading.Event()
    assert keys.key("rsa", "RS256", NOW)
    issuer.answers["/keys"] = (500, b"", {})
    assert keys.key("rsa", "RS256", NOW + 2 * HOUR)

    def hangs(address: str) -> dict[str, object]:
        asking.set()
        assert go_on.wait(60)
        return fetch_json(address)

    monkeypatch.setattr(key_ring, "fetch_json", hangs)
    monkeypatch.setattr(key_ring, "_PLACES", threading.BoundedSemaphore(1))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(keys.key, "rsa", "RS256", NOW + 2 * HOUR + MINUTE)
        assert asking.wait(60)
        key_ring._PLACES.acquire()  # as if others waited
        assert keys.key("rsa", "RS256", NOW + 2 * HOUR + MINUTE)
        with pytest.raises(RequestError, match="Others wait"):
            keys.key("rsa", "RS256", NOW + 24 * HOUR)
        go_on.set()
        assert first.result(60)


def test_an_issuer_that_was_not_asked_since_others_wait_for_one_is_asked_soon(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = threading.BoundedSemaphore(1)
    monkeypatch.setattr(fetch, "_AT_ONCE", places)
    keys = ring(issuer)
    with places, pytest.raises(RequestError, match="Other log-ins wait"):
        keys.key("rsa", "RS256", NOW)
    assert keys.key("rsa", "RS256", NOW)


@pytest.mark.parametrize(
    "named",
    [{"http_proxy": "http://127.0.0.1:{}"}, {"http_proxy": "127.0.0.1:{}"}, {"ALL_PROXY": "http://127.0.0.1:{}"}],
    ids=["an address", "without a scheme", "for all schemes"],
)
def test_a_proxy_of_the_environment_is_asked_for_an_issuer_elsewhere(
    monkeypatch: pytest.MonkeyPatch, named: dict[str, str]
) -> None:
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with servers.serving(servers.said(b'{"by": "proxy"}')) as proxy:
        for name, value in named.items():
            monkeypatch.setenv(name, value.format(proxy.port))
        assert fetch_json("http://issuer.example/keys") == {"by": "proxy"}
        monkeypatch.setenv("no_proxy", "issuer.example")
        with pytest.raises(RequestError, match="does not answer"):
            fetch_json("http://issuer.example/keys")
        assert proxy.came == 1


def test_log_ins_wait_for_a_slow_issuer_in_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SECONDS", 60.0)
    monkeypatch.setattr(fetch, "SECONDS_IN_ALL", 60.0)
    go_on = threading.Event()
    monkeypatch.setattr(fetch, "_AT_ONCE", threading.BoundedSemaphore(1))

    def waits(line: socket.socket, over: threading.Event) -> None:
        go_on.wait(60)

    with servers.serving(waits) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(fetch_json, f"{server.url}/keys")
        while server.came == 0:
            assert not first.done()
        with pytest.raises(RequestError) as got:
            fetch_json(f"{server.url}/keys")
        assert (got.value.status, got.value.fault_code) == (503, "issuer_busy")
        go_on.set()
        assert isinstance(first.exception(60), RequestError)
