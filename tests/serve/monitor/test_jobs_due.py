"""The queue's length, by which workers are added: what is at work or could be begun, and nothing that is put off."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, insert
from tests.serve.monitor.test_metrics import samples, value

from insula.serve.jobs import queue
from insula.serve.monitor import metrics
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import jobs, now

pytestmark = pytest.mark.serve


def test_jobs_that_more_workers_would_help_with_are_counted_by_kind(records: Engine) -> None:
    at = now()
    later, before = at + timedelta(minutes=5), at - timedelta(minutes=5)
    rows = [
        ("predict", "waiting", before),
        ("predict", "waiting", before),
        ("predict", "running", before),
        ("predict", "waiting", later),  # tried again in a while
        ("predict", "done", before),
        ("predict", "dead", before),
        ("pacs_send", "waiting", before),
    ]
    with writing(records) as connection:
        for kind, state, when in rows:
            connection.execute(insert(jobs).values(kind=kind, state=state, run_after=when))
    with reading(records) as connection:
        assert queue.due(connection, at) == {"predict": 3, "pacs_send": 1}
        assert queue.due(connection, later) == {"predict": 4, "pacs_send": 1}
        meter = metrics.meter([])
        found = samples(metrics.exposition(meter, connection))
    assert value(found, "insula_jobs_due", kind="predict") == 3
    assert value(found, "insula_jobs_due", kind="pacs_send") == 1


def test_a_kind_of_which_nothing_is_left_is_no_longer_told(records: Engine) -> None:
    meter = metrics.meter([])
    with writing(records) as connection:
        connection.execute(insert(jobs).values(kind="predict", state="waiting"))
    with reading(records) as connection:
        assert ("insula_jobs_due", (("kind", "predict"),)) in samples(metrics.exposition(meter, connection))
    with writing(records) as connection:
        connection.execute(jobs.update().values(state="done"))
    with reading(records) as connection:
        assert not any(name == "insula_jobs_due" for name, _ in samples(metrics.exposition(meter, connection)))
