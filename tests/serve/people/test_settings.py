"""The settings of people, from the environment, with no secret in a message."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from insula.core.errors import UsageError
from insula.serve.people.settings import PeopleSettings, read_people_settings

pytestmark = pytest.mark.serve
ISSUER: dict[str, Any] = {
    "name": "kc",
    "issuer": "https://id.example/realms/clinic",
    "audience": "insula",
    "keys": "https://id.example/realms/clinic/protocol/openid-connect/certs",
    "layout": "realm",
    "roles": {"radiologist": "reviewer"},
    "log_in": {"client_id": "insula-web", "back": "https://insula.example/log-in/kc/back", "secret": "tulip-7731"},
}


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_ISSUERS", json.dumps([ISSUER]))
    monkeypatch.setenv("INSULA_SESSION_IDLE_MINUTES", "5")
    monkeypatch.setenv("INSULA_SESSION_HOURS", "1")
    settings = read_people_settings("0.0.0.0")
    assert (settings.idle, settings.longest) == (timedelta(minutes=5), timedelta(hours=1))
    log_in = settings.issuers[0].log_in
    assert log_in is not None
    assert log_in.secret.get_secret_value() == "tulip-7731"
    assert "tulip" not in repr(settings)
    assert settings.issuers[0].algorithms == ("RS256",)


@pytest.mark.parametrize(
    "changed",
    [
        {"keys": "http://id.example/keys"},
        {"keys": "https://user:tulip-7731@id.example/keys"},
        {"keys": "file:///etc/passwd"},
        {"keys": "https:///keys"},
        {"issuer": "ftp://id.example"},
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"algorithms": []},
        {"roles": {"radiologist": "root"}},
        {"roles": {}},
        {"audience": ""},
        {"name": "Two Words"},
        {"layout": "client"},
        {"client": "insula"},
        {"leeway": 3600},
        {"typo": 1},
        {"log_in": {**ISSUER["log_in"], "back": "http://insula.example/back"}},
    ],
)
def test_an_issuer_that_cannot_be_believed_is_refused(monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]) -> None:
    monkeypatch.setenv("INSULA_ISSUERS", json.dumps([{**ISSUER, **changed}]))
    with pytest.raises(UsageError, match="INSULA_ISSUERS") as got:
        read_people_settings()
    assert "tulip" not in str(got.value)
    assert got.value.__suppress_context__


@pytest.mark.parametrize("text", ["{", "tulip-7731", "{}", '"x"', "[1]"])
def test_a_list_of_issuers_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("INSULA_ISSUERS", text)
    with pytest.raises(UsageError, match="INSULA_ISSUERS") as got:
        read_people_settings()
    assert "tulip" not in str(got.value)


@pytest.mark.parametrize("same", [{"name": "other"}, {"issuer": "https://other.example"}])
def test_two_issuers_differ_in_name_and_address(monkeypatch: pytest.MonkeyPatch, same: dict[str, str]) -> None:
    monkeypatch.setenv("INSULA_ISSUERS", json.dumps([ISSUER, {**ISSUER, **same}]))
    with pytest.raises(UsageError, match="two issuers"):
        read_people_settings()


def test_a_wrong_number_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_LOCK_AFTER", "0")
    with pytest.raises(UsageError, match="INSULA_LOCK_AFTER"):
        read_people_settings()


def test_plain_cookies_are_for_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PeopleSettings().secure_cookies
    monkeypatch.setenv("INSULA_SECURE_COOKIES", "false")
    assert not read_people_settings("127.0.0.1").secure_cookies
    with pytest.raises(UsageError, match="INSULA_SECURE_COOKIES"):
        read_people_settings("0.0.0.0")
