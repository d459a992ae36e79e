from __future__ import annotations

import pytest

from insula.client import Client
from insula.client import client as module
from insula.client.address import address_of, key_of
from insula.core.errors import MissingPartError, UsageError

pytestmark = pytest.mark.serve


@pytest.mark.parametrize(
    "address",
    ["https://insula.example.org", "https://example.org:8443/insula", "http://127.0.0.1:8000", "http://[::1]:8000"],
)
def test_addresses_that_are_taken(address: str) -> None:
    assert address_of(f"{address}/", insecure=False) == address


@pytest.mark.parametrize(
    "address", ["insula.example.org", "ftp://example.org", "https://", "https://h?x=1", "https://h#x", "https://h:port"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError, match=r"https://insula\.example\.org"):
        address_of(address, insecure=False)


@pytest.mark.parametrize("address", ["http://insula.example.org", "http://127.0.0.1.example.org", "http://10.0.0.1"])
def test_plain_http_to_another_machine_only_where_it_is_asked_for(address: str) -> None:
    with pytest.raises(UsageError, match="insecure"):
        Client(address, "k" * 20)
    with Client(address, "k" * 20, insecure=True) as client:
        assert client.address == address


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="INSULA_REMOTE_KEY") as caught:
        address_of("https://me:hunter2@example.org", insecure=False)
    assert "hunter2" not in str(caught.value)


def test_both_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="INSULA_REMOTE"):
        Client()
    monkeypatch.setenv("INSULA_REMOTE", "https://insula.example.org/")
    monkeypatch.setenv("INSULA_REMOTE_KEY", "ins_secret")
    assert (address_of("", insecure=False), key_of(None), key_of("other")) == (
        "https://insula.example.org",
        "ins_secret",
        "other",
    )
    with Client() as client:
        assert repr(client) == "Client('https://insula.example.org')"
        assert "ins_secret" not in repr(vars(client)) + repr(vars(client._wire)) + repr(client._wire._client.headers)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_is_none_is_not_repeated(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        key_of(key)
    assert key not in str(caught.value)


def test_without_httpx_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match=r"insula\[client\]"):
        Client("https://insula.example.org")
