"""Jobs: put once, claimed once, kept alive, tried again, ended once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, select
from tests.serve.store.made_records import project, study

from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Job, LeaseLostError, Wanted
from insula.serve.store import schema
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve
T = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=60)


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def claimed(connection: Connection, seconds: float, worker: str = "w") -> Job:
    job = queue.claim(connection, worker, ["predict"], at(seconds), LEASE)
    assert job is not None
    return job


def state(connection: Connection, job: Job) -> str:
    return queue.get(connection, job.id, None).state


def test_a_second_put_of_a_key_gives_the_first_job(records: Engine) -> None:
    with writing(records) as connection:
        first = queue.put(connection, Wanted("predict", {"a": 1}, unique_key="k"), T)
        assert queue.put(connection, Wanted("predict", {"a": 2}, unique_key="k"), at(5)) == first
        assert first.payload == {"a": 1}
        assert queue.put(connection, Wanted("predict", {"a": 1}), T).id != first.id
        assert len(connection.execute(select(schema.jobs.c.id)).all()) == 2


def test_jobs_are_claimed_in_their_order_by_kind_and_not_before_their_time(records: Engine) -> None:
    with writing(records) as connection:
        late = queue.put(connection, Wanted("predict", {}), T, timedelta(seconds=30))
        first, second = (queue.put(connection, Wanted("predict", {}), at(i)) for i in range(2))
        other = queue.put(connection, Wanted("export", {}), T)
        assert not queue.waits(connection, ["predict"], at(-1))
        assert queue.waits(connection, ["predict"], at(2))
        got = [claimed(connection, 2), claimed(connection, 2)]
        assert [job.id for job in got] == [first.id, second.id]
        assert {job.state for job in got} == {"running"}
        assert len({job.lease_owner for job in got}) == 2
        assert queue.claim(connection, "w", ["predict"], at(2), LEASE) is None
        assert not queue.waits(connection, ["predict"], at(29))
        assert claimed(connection, 30).id == late.id
        found = queue.claim(connection, "w", ["predict", "export"], at(31), LEASE)
        assert found is not None
        assert found.id == other.id


def test_results_are_stored_by_the_holder_of_the_lease_alone(records: Engine) -> None:
    with writing(records) as connection:
        queue.put(connection, Wanted("predict", {}), T)
        lost = claimed(connection, 0)
        assert queue.claim(connection, "other", ["predict"], at(60), LEASE) is None
        held = claimed(connection, 61, "other")
        assert (held.id, held.attempts) == (lost.id, 2)
        assert not queue.beat(connection, lost, at(62), LEASE)

    def late() -> None:
        with writing(records) as connection:
            project(connection, "made by the one that lost it")
            queue.finish(connection, lost, {"by": "lost"}, at(62))

    with pytest.raises(LeaseLostError):
        late()
    with writing(records) as connection:
        project(connection, "made by the holder")
        queue.finish(connection, held, {"by": "held"}, at(62))
    with writing(records) as connection:
        assert connection.scalars(select(schema.projects.c.name)).all() == ["made by the holder"]
        done = queue.get(connection, held.id, None)
        assert (done.state, done.result, done.progress, done.ended_at) == ("done", {"by": "held"}, 1.0, at(62))
        assert queue.claim(connection, "w", ["predict"], at(9999), LEASE) is None
        with pytest.raises(LeaseLostError):
            queue.finish(connection, held, {}, at(63))


def test_a_heartbeat_keeps_the_lease_and_tells_how_far_it_is(records: Engine) -> None:
    with writing(records) as connection:
        queue.put(connection, Wanted("predict", {}), T)
        job = claimed(connection, 0)
        assert queue.beat(connection, job, at(50), LEASE, 0.4, "reading " + "x" * 200)
        seen = queue.get(connection, job.id, None)
        assert (seen.progress, seen.step[:9], len(seen.step), seen.lease_until) == (0.4, "reading x", 120, at(110))
        assert queue.claim(connection, "other", ["predict"], at(109), LEASE) is None
        assert claimed(connection, 111).progress == 0.0


def test_a_job_is_tried_again_later_and_dead_after_its_last_attempt(records: Engine) -> None:
    error = {"code": "internal", "message": "m"}
    with writing(records) as connection:
        queue.put(connection, Wanted("predict", {}, most_attempts=3), T)
        now = 0.0
        for attempt in range(1, 4):
            job = claimed(connection, now)
            assert job.attempts == attempt
            told = queue.fail(connection, job, error, at(now), again=True, chance=lambda: 0.5)
            assert told == ("dead" if attempt == 3 else "waiting")
            wait = 1.5 * 2 ** (attempt - 1)
            assert queue.claim(connection, "w", ["predict"], at(now + wait - 0.1), LEASE) is None
            now += wait
        dead = queue.get(connection, job.id, None)
        assert (dead.state, dead.error, dead.lease_owner) == ("dead", error, None)
        assert queue.claim(connection, "w", ["predict"], at(99999), LEASE) is None


def test_a_job_that_ends_its_workers_is_dead_in_the_end(records: Engine) -> None:
    with writing(records) as connection:
        queue.put(connection, Wanted("predict", {}, most_attempts=2), T)
        job = claimed(connection, 0)
        assert claimed(connection, 100).id == job.id
        assert queue.claim(connection, "w", ["predict"], at(200), LEASE) is None
        dead = queue.get(connection, job.id, None)
        assert dead.state == "dead"
        assert dead.error is not None
        assert dead.error["code"] == "lost"


def test_an_error_that_another_try_would_not_mend_ends_the_job(records: Engine) -> None:
    with writing(records) as connection:
        queue.put(connection, Wanted("predict", {}), T)
        job = claimed(connection, 0)
        assert queue.fail(connection, job, {"code": "unreadable_scan", "message": "m"}, T, again=False) == "failed"
        assert queue.fail(connection, job, {"code": "x", "message": "m"}, T, again=False) is None
        with pytest.raises(RequestError, match="no such job"):
            queue.again(connection, "none", T)
        tried = queue.again(connection, job.id, at(5))
        assert (tried.state, tried.attempts, tried.error, tried.ended_at) == ("waiting", 0, None, None)
        with pytest.raises(RequestError, match="is waiting") as caught:
            queue.again(connection, job.id, at(5))
        assert caught.value.status == 409
        assert claimed(connection, 5).id == job.id


def test_a_cancelled_job_stores_nothing_and_is_not_claimed(records: Engine) -> None:
    with writing(records) as connection:
        running = queue.put(connection, Wanted("predict", {}), T)
        waiting = queue.put(connection, Wanted("predict", {}), at(1))
        job = claimed(connection, 2)
        assert queue.cancel(connection, waiting.id, at(3)) == queue.cancel(connection, running.id, at(3)) == "cancelled"
        assert not queue.beat(connection, job, at(4), LEASE)
        assert queue.fail(connection, job, {"code": "x", "message": "m"}, at(4), again=True) is None
        assert not queue.give_back(connection, job, at(4))
        with pytest.raises(LeaseLostError):
            queue.finish(connection, job, {}, at(4))
        assert queue.claim(connection, "w", ["predict"], at(9999), LEASE) is None
        done = queue.put(connection, Wanted("predict", {}), at(5))
        queue.finish(connection, claimed(connection, 6), {}, at(7))
        assert queue.cancel(connection, done.id, at(8)) == "done"
        with pytest.raises(RequestError, match="no such job"):
            queue.cancel(connection, "none", T)


def test_a_job_that_is_given_back_was_not_tried(records: Engine) -> None:
    with writing(records) as connection:
        queue.put(connection, Wanted("predict", {}), T)
        assert queue.give_back(connection, claimed(connection, 0), at(1))
        assert claimed(connection, 1, "other").attempts == 1


def test_a_study_that_is_erased_takes_its_running_job_along(records: Engine) -> None:
    with writing(records) as connection:
        a = project(connection)
        one = study(connection, a)
        queue.put(connection, Wanted("predict", {}, project_id=a, study_id=one), T)
        job = claimed(connection, 0)
        connection.execute(schema.studies.delete())
        assert not queue.beat(connection, job, at(1), LEASE)
        with pytest.raises(LeaseLostError):
            queue.finish(connection, job, {}, at(1))


def test_jobs_are_listed_by_pages_to_those_who_may_see_them(records: Engine) -> None:
    with writing(records) as connection:
        a, b = project(connection, "A"), project(connection, "B")
        made = [queue.put(connection, Wanted("predict", {}, project_id=(a, b)[i % 2]), at(i)).id for i in range(6)]
        page = queue.page(connection, {a}, limit=2)
        assert [job.id for job in page.rows] == [made[4], made[2]]
        assert [job.id for job in queue.page(connection, {a}, page.before, limit=2).rows] == [made[0]]
        claimed(connection, 9)
        assert [job.id for job in queue.page(connection, None, state="running").rows] == [made[0]]
        assert queue.page(connection, None, kind="export").rows == ()
        with pytest.raises(RequestError, match="no such job"):
            queue.get(connection, made[0], {b})


def test_the_back_off_doubles_up_to_a_longest_and_spreads_by_chance() -> None:
    seconds = [queue.back_off(n, 0.0).total_seconds() for n in (1, 2, 3, 9, 10, 99)]
    assert seconds == [1.0, 2.0, 4.0, 256.0, 300.0, 300.0]
    assert queue.back_off(3, 0.999).total_seconds() == pytest.approx(8.0, rel=1e-3)
    assert queue.back_off(3, 0.5).total_seconds() == 6.0


def test_a_clock_that_was_put_back_holds_no_job(records: Engine) -> None:
    ahead = 86400.0 * 365
    with writing(records) as connection:
        job = queue.put(connection, Wanted("predict", {}), at(ahead))
        assert claimed(connection, ahead).id == job.id
        assert claimed(connection, 0).id == job.id  # its lease ends in a year, which no lease does
        assert queue.give_back(connection, claimed(connection, 100), at(ahead))
        assert claimed(connection, 10).id == job.id  # it waits for a year, which no job does


def test_waits_and_leases_as_they_are_given_hold(records: Engine) -> None:
    with writing(records) as connection:
        queue.put(connection, Wanted("predict", {}), T, wait=queue.LONGEST_WAIT)
        assert queue.claim(connection, "w", ["predict"], T, LEASE) is None
        claimed(connection, 600)
        assert queue.claim(connection, "w", ["predict"], at(600), LEASE) is None


def test_a_job_that_is_put_off_uses_no_attempt_up(records: Engine) -> None:
    with writing(records) as connection:
        queue.put(connection, Wanted("predict", {}, most_attempts=2), T)
        for round_ in range(20):
            job = claimed(connection, 100 * round_)
            assert queue.put_off(connection, job, {"code": "no_space"}, at(100 * round_))
            assert queue.claim(connection, "w", ["predict"], at(100 * round_ + 14), LEASE) is None
        found = queue.get(connection, job.id, None)
        assert (found.state, found.attempts, found.error) == ("waiting", 0, {"code": "no_space"})
        assert not queue.put_off(connection, job, {}, T)  # it is nobody's now


@pytest.mark.parametrize(("age", "wait"), [(-9999, 15), (0, 15), (899, 15), (3600, 60), (36_000, 600), (999_999, 600)])
def test_a_job_that_is_put_off_for_long_is_tried_more_seldom(records: Engine, age: int, wait: int) -> None:
    with writing(records) as connection:
        queue.put(connection, Wanted("predict", {}), T)
        job = replace(claimed(connection, 0), created_at=at(-age))
        assert queue.put_off(connection, job, {"code": "no_space"}, at(0))
        assert queue.get(connection, job.id, None).run_after == at(wait)
