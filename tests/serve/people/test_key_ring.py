"""The keys of an issuer are asked for seldom, from one place, and kept while it does not answer."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from tests.serve.people.issuer import LocalIssuer, rsa_key
from tests.serve.people.made import MINUTE, NOW

from insula.serve.faults import RequestError
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
