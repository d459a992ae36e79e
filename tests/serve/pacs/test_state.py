"""How far the node is: counts for back-pressure and metrics, and what waits for somebody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete
from tests.serve.api.made import Made
from tests.serve.pacs.made_arrived import arrived

from insula.serve.jobs import predict_study, queue
from insula.serve.jobs.queue import Wanted
from insula.serve.monitor.metrics import exposition
from insula.serve.pacs import state
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve


@pytest.fixture
def busy(made: Made) -> Made:
    """A node with a study in each state, and jobs."""
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.pacs_studies))
        connection.execute(delete(schema.jobs))
        for number, name in enumerate(("receiving", "receiving", "whole", "taken", "unrouted", "failed")):
            values: dict[str, Any] = {"error": {"code": "x", "message": "Why."}} if name == "failed" else {}
            at = datetime(2026, 1, number + 1, tzinfo=UTC)
            arrived(connection, f"1.2.{number}", name, last_at=at, **values)
        for kind in ("predict", "predict", "pacs_send", "pacs_take", "export"):
            queue.put(connection, Wanted(kind, {}), schema.now())
        done = schema.jobs.c.kind == "pacs_take"
        connection.execute(schema.jobs.update().where(done).values(state="done"))
    return made


def test_the_kind_of_job_that_answers_is_that_of_predictions() -> None:
    assert state.PREDICT == predict_study.KIND


def test_the_backlog_is_what_comes_in_and_waits_for_an_answer(busy: Made) -> None:
    with reading(busy.service.records) as connection:
        assert state.backlog(connection) == 3 + 2


def test_studies_are_counted_until_they_are_taken(busy: Made) -> None:
    with reading(busy.service.records) as connection:
        assert state.counts(connection) == {"receiving": 2, "whole": 1, "unrouted": 1, "failed": 1}


def test_only_the_nodes_jobs_that_are_not_done_are_counted(busy: Made) -> None:
    with reading(busy.service.records) as connection:
        assert state.jobs(connection) == {"pacs_send": {"waiting": 1}}


def test_what_waits_for_somebody_comes_newest_first(busy: Made) -> None:
    with reading(busy.service.records) as connection:
        failed, unrouted = state.troubled(connection)
        assert [one.state for one in state.troubled(connection, 1)] == ["failed"]
    assert (failed.state, failed.error) == ("failed", {"code": "x", "message": "Why."})
    assert (unrouted.state, unrouted.error, unrouted.source) == ("unrouted", None, "SCANNER")


def test_metrics_tell_them(busy: Made) -> None:
    with reading(busy.service.records) as connection:
        text = exposition(busy.service.meter, connection).decode()
    assert 'insula_pacs_studies{state="receiving"} 2.0' in text
    assert 'insula_pacs_jobs{kind="pacs_send",state="waiting"} 1.0' in text
    assert "insula_pacs_backlog 5.0" in text
