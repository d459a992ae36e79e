"""A worker runs handlers, keeps their leases, and stores what they made in the transaction that ends the job."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, Engine, delete, insert, select, text
from tests.serve.store.made_records import project

from insula.core.errors import LimitError, ScanError
from insula.scans.sandbox import DecoderError
from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Job, Wanted
from insula.serve.jobs.worker import Cancelled, GivenUpError, Handler, Pace, Progress, Write, work
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.in_use import hold_files

pytestmark = pytest.mark.serve
T = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = Pace(lease=60.0, beat=0.01, idle=0.01, most_idle=0.01)
SLOW = 20.0  # seconds after which a test gives up waiting for another thread


def put(records: Engine, **values: Any) -> str:
    with writing(records) as connection:
        return queue.put(connection, Wanted("made", {"x": 1}, **values), T).id


def job_of(records: Engine, name: str) -> Job:
    with reading(records) as connection:
        return queue.get(connection, name, None)


def names(records: Engine) -> list[str]:
    with reading(records) as connection:
        return list(connection.scalars(select(schema.projects.c.name)))


def ran(records: Engine, handler: Handler, stop: threading.Event | None = None) -> int:
    return work(records, {"made": handler}, "w", stop or threading.Event(), QUICK, lambda: T, until_idle=True)


def writes(name: str) -> Write:
    def write(connection: Connection) -> dict[str, str]:
        project(connection, name)
        return {"made": name}

    return write


def names_a_file(connection: Connection) -> dict[str, str]:
    hold_files(connection, alone=False)
    project(connection, "made")
    return {}


def test_a_job_that_ends_while_somebody_erases_does_not_hold_what_he_needs(records: Engine) -> None:
    """Who ends a job and who erases lock in one order: neither waits for the other for ever."""
    if records.dialect.name == "sqlite":
        pytest.skip("on SQLite whoever writes is alone")
    name = put(records)
    worker = threading.Thread(target=ran, args=(records, lambda *_: names_a_file))
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with writing(records) as connection:
        hold_files(connection, alone=True)
        worker.start()
        until = time.monotonic() + SLOW
        while not connection.execute(waiting).scalar_one():
            assert time.monotonic() < until, "the worker does not come to its end"
        this = schema.jobs.c.id == name
        connection.execute(select(schema.jobs.c.id).where(this).with_for_update(nowait=True))
        connection.execute(delete(schema.jobs).where(this))
    worker.join(SLOW)
    assert not worker.is_alive()
    assert names(records) == [], "the job is gone, and so is what it made"


def test_a_job_is_done_with_its_results(records: Engine) -> None:
    one, other = put(records), put(records)
    assert ran(records, lambda job, report, cancelled: writes(job.id)) == 2
    assert sorted(names(records)) == sorted([one, other])
    assert (job_of(records, one).state, job_of(records, one).result) == ("done", {"made": one})


def raises(error: Exception) -> Handler:
    def handler(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        raise error

    return handler


def killed_decoder() -> LimitError:
    error = LimitError("m")
    error.__cause__ = DecoderError("memory", "killed by the system", killed=True)
    return error


NO_SCAN, BUG = "'a' is no scan; send another.", "The job met an error of the program (ValueError)."


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (ScanError(NO_SCAN), "failed", {"code": "unreadable_scan", "message": NO_SCAN}),
        (RequestError(503, "busy", "m"), "waiting", {"code": "busy", "message": "m"}),
        (LimitError("m"), "failed", {"code": "limit_exceeded", "message": "m"}),
        (killed_decoder(), "waiting", {"code": "decoder_killed", "message": "m"}),
        (ValueError("Ayşe 007"), "waiting", {"code": "internal", "message": BUG}),
    ],
)
def test_an_error_is_kept_and_tried_again_where_that_may_help(
    records: Engine, error: Exception, state: str, told: dict[str, str]
) -> None:
    one = put(records)
    with structlog.testing.capture_logs() as logs:
        ran(records, raises(error))
    found = job_of(records, one)
    assert (found.state, found.attempts) == (state, 1)
    assert found.error == told
    assert "Ayşe" not in str(logs)


def test_an_error_while_writing_stores_nothing_of_it(records: Engine) -> None:
    one = put(records)

    def write(connection: Connection) -> dict[str, str]:
        project(connection, "half")
        connection.execute(insert(schema.projects).values(name="half"))
        return {}

    ran(records, lambda job, report, cancelled: write)
    assert names(records) == []
    assert job_of(records, one).state == "waiting"


def test_progress_is_seen_while_the_job_runs(records: Engine) -> None:
    one = put(records)

    def handler(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        report(0.25, "reading the scan")
        wait_for(lambda: job_of(records, one).step == "reading the scan")
        assert job_of(records, one).progress == 0.25
        return writes("a")

    assert ran(records, handler) == 1
    assert names(records) == ["a"]


def wait_for(condition: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(int(SLOW / 0.01)):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("it did not come about")


def test_a_handler_learns_that_its_job_was_cancelled_and_stores_nothing(records: Engine) -> None:
    one = put(records)

    def handler(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        assert not cancelled()
        with writing(records) as connection:
            queue.cancel(connection, job.id, T)
        wait_for(cancelled)
        return writes("too late")

    assert ran(records, handler) == 0
    assert (job_of(records, one).state, names(records)) == ("cancelled", [])


def test_a_job_that_another_took_over_is_stored_by_that_one_alone(records: Engine) -> None:
    one = put(records)

    def handler(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        with writing(records) as connection:
            late = T + timedelta(hours=1)
            other = queue.claim(connection, "other", ["made"], late, timedelta(seconds=60))
            assert other is not None
            queue.finish(connection, other, {"by": "other"}, late)
        return writes("too late")

    assert ran(records, handler) == 0
    assert (job_of(records, one).result, names(records)) == ({"by": "other"}, [])


def test_a_worker_that_is_stopped_gives_its_job_back(records: Engine) -> None:
    one, stop = put(records, most_attempts=1), threading.Event()

    def handler(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        stop.set()
        assert cancelled()
        raise GivenUpError

    assert ran(records, handler, stop) == 0
    assert (job_of(records, one).state, job_of(records, one).attempts) == ("waiting", 0)
    assert ran(records, lambda job, report, cancelled: writes("a")) == 1
    assert job_of(records, one).state == "done"


def test_a_worker_waits_where_there_is_nothing_and_goes_on_when_there_is(records: Engine) -> None:
    stop, done = threading.Event(), threading.Event()

    def handler(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        done.set()
        return writes("a")

    arguments = (records, {"made": handler}, "w", stop, QUICK, lambda: T)
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    put(records)
    assert done.wait(SLOW)
    stop.set()
    thread.join(SLOW)
    assert not thread.is_alive()
    assert names(records) == ["a"]


def test_a_worker_outlives_records_that_do_not_answer(records: Engine) -> None:
    one = put(records)
    with records.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO away")
    stop = threading.Event()
    thread = threading.Thread(
        target=work,
        args=(records, {"made": lambda job, report, cancelled: writes("a")}, "w", stop, QUICK, lambda: T),
    )
    with structlog.testing.capture_logs() as logs:
        thread.start()
        wait_for(lambda: any(line["event"] == "records do not answer" for line in logs))
        with records.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO jobs")
        wait_for(lambda: job_of(records, one).state == "done")
        stop.set()
        thread.join(SLOW)
    assert names(records) == ["a"]
