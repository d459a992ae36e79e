"""How far the sendings of a study's answers are: the newest for each peer and model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert
from tests.serve.api.made import Made
from tests.serve.store.made_records import predicted, study

from insula.serve.jobs import queue
from insula.serve.jobs.queue import Wanted
from insula.serve.pacs import delivered
from insula.serve.store import schema
from insula.serve.store.connect import writing
from insula.serve.store.predictions import Made as Model

pytestmark = pytest.mark.serve
START = datetime(2026, 1, 1, tzinfo=UTC)
WHY = {"code": "peer_unreachable", "message": "'his' does not answer."}


@pytest.fixture
def records(made: Made) -> Iterator[tuple[Connection, str, str]]:
    """A connection, and a study with a prediction."""
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.jobs))
        connection.execute(delete(schema.pacs_deliveries))
        one = study(connection, made.inside, "DELIVERED")
        yield connection, one, predicted(connection, one)


def asked(connection: Connection, study_id: str, prediction: str, peer: str, minute: int, **values: Any) -> None:
    payload = {"prediction": prediction, "peer": peer, "objects": ["report"]}
    job = queue.put(connection, Wanted("pacs_send", payload, study_id=study_id), START + timedelta(minutes=minute))
    if values:
        connection.execute(schema.jobs.update().where(schema.jobs.c.id == job.id).values(values))


def done(connection: Connection, prediction: str, peer: str, minute: int) -> None:
    row = {"prediction_id": prediction, "peer": peer, "objects": 1, "created_at": START + timedelta(minutes=minute)}
    connection.execute(insert(schema.pacs_deliveries).values(row))


def test_each_peer_has_the_state_of_its_newest_sending(records: tuple[Connection, str, str]) -> None:
    connection, one, prediction = records
    asked(connection, one, prediction, "his", 1, attempts=8, error=WHY)
    asked(connection, one, prediction, "web", 1, state="dead", attempts=150, error=WHY)
    asked(connection, one, prediction, "ris", 1)
    asked(connection, one, prediction, "fhir", 1, state="running", attempts=1)
    asked(connection, one, prediction, "gone", 1, state="cancelled")
    done(connection, prediction, "archive", 2)
    found = delivered.of_studies(connection, [one])
    assert [(row.peer, row.state, row.attempts) for row in found[one]] == [
        ("archive", "sent", 0),
        ("fhir", "running", 1),
        ("his", "again", 8),
        ("ris", "waiting", 0),
        ("web", "failed", 150),
    ]
    assert [row.error for row in found[one] if row.peer == "his"] == [WHY]


def test_a_delivery_takes_the_place_of_what_was_asked_for_before_it_and_not_after(
    records: tuple[Connection, str, str],
) -> None:
    connection, one, prediction = records
    asked(connection, one, prediction, "archive", 1, state="failed", attempts=1, error=WHY)
    done(connection, prediction, "archive", 2)
    done(connection, prediction, "his", 2)
    asked(connection, one, predicted(connection, one), "his", 3, state="failed", attempts=1, error=WHY)
    assert [(row.peer, row.state) for row in delivered.of_studies(connection, [one])[one]] == [
        ("archive", "sent"),
        ("his", "failed"),
    ]


def test_another_models_delivery_hides_nothing(records: tuple[Connection, str, str]) -> None:
    connection, one, prediction = records
    asked(connection, one, prediction, "archive", 1, state="failed", attempts=1, error=WHY)
    done(connection, predicted(connection, one, made=Model("other-ct", "multiclass")), "archive", 2)
    assert {(row.model, row.state) for row in delivered.of_studies(connection, [one])[one]} == {
        ("other-ct", "sent"),
        ("stroke-ct", "failed"),
    }


def test_other_studies_are_not_told_of(records: tuple[Connection, str, str], made: Made) -> None:
    connection, one, prediction = records
    done(connection, prediction, "archive", 2)
    other = study(connection, made.inside, "DELIVERED-2")
    assert delivered.of_studies(connection, [other]) == {}
    assert list(delivered.of_studies(connection, [other, one])) == [one]


def test_counts_and_what_is_in_trouble(records: tuple[Connection, str, str]) -> None:
    connection, one, prediction = records
    asked(connection, one, prediction, "his", 1, attempts=8, error=WHY)
    asked(connection, one, prediction, "web", 2, state="failed", attempts=1, error=WHY)
    asked(connection, one, prediction, "ris", 3)
    done(connection, prediction, "archive", 2)
    assert delivered.counts(connection) == {"sent": 1, "waiting": 1, "running": 0, "again": 1, "failed": 1}
    found = [(study_id, row.peer, row.state) for study_id, row in delivered.troubled(connection)]
    assert found == [(one, "web", "failed"), (one, "his", "again")]
    assert len(delivered.troubled(connection, 1)) == 1
