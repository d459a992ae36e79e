"""The tables stand on both databases and keep what they are given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, func, insert, select
from sqlalchemy.exc import IntegrityError, StatementError

from insula.serve.store import schema
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve


def test_instants_come_back_as_the_same_instants_in_utc(records: Engine) -> None:
    at = datetime(2026, 3, 29, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    with writing(records) as connection:
        connection.execute(insert(schema.projects).values(name="A", created_at=at))
    with reading(records) as connection:
        found = connection.execute(select(schema.projects.c.created_at)).scalar_one()
    assert found == at
    assert found.tzinfo is UTC


def test_an_instant_without_a_zone_is_refused(records: Engine) -> None:
    with pytest.raises(StatementError, match="no time zone"), writing(records) as connection:
        connection.execute(insert(schema.projects).values(name="A", created_at=datetime(2026, 1, 1)))


def test_an_error_leaves_nothing_of_its_transaction(records: Engine) -> None:
    def twice() -> None:
        with writing(records) as connection:
            connection.execute(insert(schema.projects).values(name="A"))
            connection.execute(insert(schema.projects).values(name="A"))

    with pytest.raises(IntegrityError):
        twice()
    with reading(records) as connection:
        assert connection.execute(select(func.count()).select_from(schema.projects)).scalar_one() == 0


def test_a_row_that_points_at_nothing_is_refused(records: Engine) -> None:
    with pytest.raises(IntegrityError), writing(records) as connection:
        connection.execute(insert(schema.patients).values(project_id="none", key="a"))
