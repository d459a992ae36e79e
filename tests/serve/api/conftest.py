"""One service for each module of tests, on SQLite and on PostgreSQL: tests use patients of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serve.api.made import Made, clear, service
from tests.tiny_bundle import make


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A service over a tiny bundle, with people."""
    folder = Path(tmp_path_factory.mktemp("service"))
    address = f"sqlite:///{folder}/insula.db"
    if request.param == "postgresql":
        address = request.getfixturevalue("postgresql")
        clear(address)
    with service(make(folder, unit="series"), address, folder) as found:
        yield found
