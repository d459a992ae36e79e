"""One service for each module of the client's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client.live import Live, live, series


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service that listens on this machine."""
    with live(Path(tmp_path_factory.mktemp("service"))) as found:
        yield found


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A folder with two slices of one series."""
    return series(tmp_path / "head-ct")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INSULA_REMOTE", "INSULA_REMOTE_KEY"):
        monkeypatch.delenv(name, raising=False)
