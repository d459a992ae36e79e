"""The fixtures of the API's tests for those of the PACS node."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select
from tests.serve.api.conftest import made as made
from tests.serve.api.made import Made

from insula.serve.jobs import queue
from insula.serve.store import schema
from insula.serve.store.connect import writing


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
