"""One service for each module of tests, on SQLite and on PostgreSQL: tests use patients of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData
from tests.serve.api.made import Made, service
from tests.tiny_bundle import make

from insula.serve.store.connect import connect


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A service over a tiny bundle, with people."""
    folder = Path(tmp_path_factory.mktemp("service"))
    address = f"sqlite:///{folder}/insula.db"
    if request.param == "postgresql":
        address = request.getfixturevalue("postgresql")
        engine = connect(address)
        there = MetaData()
        there.reflect(engine)
        there.drop_all(engine)
        engine.dispose()
    with service(make(folder, unit="series"), address, folder) as found:
        yield found
