"""The node's settings: from the environment, refused where they do not go together, with secrets hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from insula.core.errors import UsageError
from insula.serve.pacs.settings import PacsSettings, find_peer, login, read_pacs_settings

pytestmark = pytest.mark.serve


def test_they_come_from_the_environment_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_PACS_AE_TITLE", "NODE7")
    monkeypatch.setenv("INSULA_PACS_PORT", "4242")
    monkeypatch.setenv("INSULA_PACS_QUIET_SECONDS", "2.5")
    found = read_pacs_settings(port=0, host=None)
    assert (found.ae_title, found.port, found.host, found.quiet_seconds) == ("NODE7", 0, "127.0.0.1", 2.5)


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RULES", "TLS_CERT", "TLS_CA", "PORT", "HOST", "IDENTITY_KEY"):
        monkeypatch.setenv(f"INSULA_PACS_{name}", "")
    assert read_pacs_settings() == PacsSettings(rules=None, tls_cert=None, port=11112)


def test_callers_may_be_bound_to_addresses() -> None:
    found = read_pacs_settings(allow="CT1@10.0.0.7, CT1@10.0.0.8,WORKSTATION")
    assert found.callers == {"CT1": {"10.0.0.7", "10.0.0.8"}, "WORKSTATION": frozenset()}
    assert read_pacs_settings().callers == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": 70000}, "INSULA_PACS_PORT"),
        ({"quiet_seconds": 0}, "INSULA_PACS_QUIET_SECONDS"),
        ({"ae_title": "A\\B"}, "no AE title"),
        ({"allow": "FINE,SEVENTEENCHARACTR@h"}, "no AE title"),
        ({"tls_cert": Path("c.pem")}, "INSULA_PACS_TLS_KEY"),
        ({"orthanc": "archive"}, "none is set"),
        ({"orthanc": "archive", "peers": "archive=dicom://A@h"}, "no web server"),
        ({"workitems": "b", "peers": "a=https://h"}, "has: a"),
        ({"identity_key": "short"}, "INSULA_PACS_IDENTITY_KEY"),
    ],
)
def test_wrong_ones_are_refused_by_name(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_pacs_settings(**given)


def test_the_identity_key_is_not_shown() -> None:
    found = read_pacs_settings(identity_key="k" * 40)
    assert "kkk" not in repr(found)


def test_a_peer_is_found_by_its_name() -> None:
    found = read_pacs_settings(peers="a=dicom://A@h b=https://h")
    assert find_peer(found, "b").kind == "web"
    with pytest.raises(UsageError, match="has: a, b"):
        find_peer(found, "c")


def test_a_login_is_the_peers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_PACS_LOGIN_MY_PACS", "me:secret")
    assert login("my-pacs") == "me:secret"
    assert login("other") == ""
