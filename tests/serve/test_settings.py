"""What the service does where nothing is set."""

from __future__ import annotations

import pytest

from insula.serve.settings import is_loopback, read_settings

pytestmark = pytest.mark.serve


def test_where_nothing_is_set_the_service_listens_on_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INSULA_HOST", raising=False)
    settings = read_settings()
    assert settings.host == "127.0.0.1"
    assert is_loopback(settings.host)
