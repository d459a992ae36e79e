"""Records for the service's tests: each test that takes `records` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.postgresql import server

from insula.serve.store.connect import connect
from insula.serve.store.schema import metadata


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a database of a server that runs as long as the tests do."""
    with server() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def records_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where empty records can be made."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/insula.db"
    address: str = request.getfixturevalue("postgresql")
    return address


@pytest.fixture
def records(records_address: str) -> Iterator[Engine]:
    """Empty tables."""
    engine = connect(records_address)
    metadata.drop_all(engine)
    metadata.create_all(engine)
    yield engine
    metadata.drop_all(engine)
    engine.dispose()
