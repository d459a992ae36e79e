from __future__ import annotations

import base64

import pytest

from insula.core.errors import UsageError
from insula.serve.monitor.settings import MonitorSettings, check, read_monitor_settings

pytestmark = pytest.mark.serve

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def settings(**given: object) -> MonitorSettings:
    return MonitorSettings(**{"alert_secret": SECRET, **given})  # type: ignore[arg-type]


def test_all_comes_from_the_environment_and_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DRIFT_RATE": "0.01",
        "DRIFT_REFERENCE": "500",
        "ALERT_URL": "https://hooks.example.org/secret-path",
        "ALERT_HOSTS": "hooks.example.org, 10.1.0.0/16,::1",
        "ALERT_SECRET": SECRET,
        "ALERT_ERROR_RATE": "0.2",
        "ALERT_FAILED_JOBS": "7",
        "ALERT_ACCURACY": "0.8",
    }.items():
        monkeypatch.setenv(f"INSULA_{name}", value)
    found = read_monitor_settings()
    assert (found.drift_rate, found.drift_reference, found.alert_accuracy) == (0.01, 500, 0.8)
    assert (found.alert_error_rate, found.alert_failed_jobs) == (0.2, 7)
    assert found.host == "hooks.example.org"
    assert found.names == {"hooks.example.org"}
    assert [str(one) for one in found.networks] == ["10.1.0.0/16", "::1/128"]
    assert found.signing_key == b"k" * 32
    assert "secret-path" not in repr(found)
    assert SECRET not in repr(found)


def test_nothing_is_needed_where_nothing_is_sent() -> None:
    check(MonitorSettings())
    assert MonitorSettings().host == ""


@pytest.mark.parametrize(
    "given",
    [
        {"alert_url": "https://hooks.example.org/x", "alert_hosts": "HOOKS.example.org"},
        {"alert_url": "http://127.0.0.1:9000/x", "alert_hosts": "127.0.0.1"},
        {"alert_url": "http://localhost:9000/x", "alert_hosts": "localhost,127.0.0.1"},
        {"alert_url": "https://10.1.2.3/x", "alert_hosts": "10.1.0.0/16"},
    ],
)
def test_encrypted_or_local_receivers_that_are_named_are_taken(given: dict[str, str]) -> None:
    check(settings(**given))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"alert_url": "http://hooks.example.org/x", "alert_hosts": "hooks.example.org"}, "without encryption"),
        ({"alert_url": "https://other.example.org/x", "alert_hosts": "hooks.example.org"}, "does not name"),
        ({"alert_url": "https://hooks.example.org.evil.net/", "alert_hosts": "hooks.example.org"}, "does not name"),
        ({"alert_url": "https://10.2.0.1/", "alert_hosts": "10.1.0.0/16"}, "does not name"),
        ({"alert_url": "https://hooks.example.org/x"}, "does not name"),
        ({"alert_url": "ftp://hooks.example.org/x", "alert_hosts": "hooks.example.org"}, "no web address"),
        ({"alert_url": "https:///x", "alert_hosts": "hooks.example.org"}, "no web address"),
        ({"alert_url": "https://hooks.example.org:99999/", "alert_hosts": "hooks.example.org"}, "no web address"),
        ({"alert_url": "https://a:b@hooks.example.org/", "alert_hosts": "hooks.example.org"}, "holds a password"),
    ],
)
def test_other_receivers_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check(settings(**given))


@pytest.mark.parametrize("secret", [None, "whsec_c2hvcnQ=", base64.b64encode(b"k" * 32).decode(), "whsec_###"])
def test_a_secret_that_cannot_sign_is_refused_and_not_shown(secret: str | None) -> None:
    with pytest.raises(UsageError, match="cannot sign") as caught:
        check(settings(alert_url="https://h.example.org/", alert_hosts="h.example.org", alert_secret=secret))
    assert secret is None or secret not in str(caught.value)


def test_a_wrong_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_DRIFT_RATE", "0.9")
    with pytest.raises(UsageError, match="INSULA_DRIFT_RATE"):
        read_monitor_settings()
