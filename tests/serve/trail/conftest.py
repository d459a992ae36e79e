"""Trails for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.serve.trail.filled import fill

from insula.serve.store.connect import connect
from insula.serve.store.schema import metadata
from insula.serve.trail.entries import Entry


@pytest.fixture
def twenty(records: Engine) -> list[Entry]:
    """Twenty entries, in `records`."""
    return fill(records, 20)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Engine]:
    """Empty tables on SQLite alone."""
    engine = connect(f"sqlite:///{tmp_path}/alone.db")
    metadata.create_all(engine)
    yield engine
    engine.dispose()
