"""The fixtures of the API's tests for those of the PACS node, and a service of its own for those of its listener."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.serve.api.conftest import made as made
from tests.serve.api.made import Made
from tests.serve.pacs.listening import service_of

from insula.serve.jobs import queue
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import connect, writing


@pytest.fixture
def settled(request: pytest.FixtureRequest) -> Iterator[None]:
    """No sending waits for the next test."""
    yield
    if "made" not in request.fixturenames:
        return
    made: Made = request.getfixturevalue("made")
    with writing(made.service.records) as connection:
        every = connection.scalars(select(schema.jobs.c.id).where(schema.jobs.c.kind == "pacs_send")).all()
        for name in every:
            queue.cancel(connection, name, schema.now())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service without people and models, on records of its own."""
    engine = connect(f"sqlite:///{tmp_path}/insula.db")
    schema.metadata.create_all(engine)
    yield service_of(engine, tmp_path)
    engine.dispose()
