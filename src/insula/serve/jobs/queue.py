"""Jobs in one table: each is worked on by one worker at a time, for as long as that one says that it lives.

A claim gives a lease with an owner of its own. Whatever a job makes is written in the transaction in which `finish`
finds that lease still there: a worker that lost it (killed, stalled, cancelled) stores nothing, so that results are
never doubled, and the job is claimed anew, so that none is lost. Instants come as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, update

from insula.serve.faults import RequestError
from insula.serve.store import schema
from insula.serve.store.paging import Page, Visible, checked_limit, paged, seen
from insula.serve.store.patients import insert_if_new, not_found

State = Literal["waiting", "running", "done", "failed", "dead", "cancelled"]
ENDED: Final[tuple[State, ...]] = ("done", "failed", "dead", "cancelled")
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=10)
PUT_OFF: Final = timedelta(seconds=15)
LONGEST_LEASE: Final = timedelta(minutes=10)  # one that ends later was given before the clock was put back
_CHANCE: Final = SystemRandom().random


class LeaseLostError(Exception):
    """The job is no longer this worker's: what it made must not be stored."""


@dataclass(frozen=True)
class Job:
    """One job. payload, result: JSON objects that name rows by ids; error: `code` and `message`.

    progress: 0 to 1, step: what is being done. failed: an error that another try would not mend; dead: it failed or
    lost its worker most_attempts times.
    """

    id: str
    kind: str
    state: State
    created_at: datetime
    payload: Mapping[str, Any]
    project_id: str | None
    study_id: str | None
    created_by: str | None
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    progress: float
    step: str
    attempts: int
    most_attempts: int
    run_after: datetime
    lease_owner: str | None
    lease_until: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Wanted:
    """A job to be put. unique_key: a job of the same key is put once. most_attempts: 1 to try it once."""

    kind: str
    payload: Mapping[str, Any]
    unique_key: str | None = None
    project_id: str | None = None
    study_id: str | None = None
    created_by: str | None = None
    most_attempts: int = 5


def put(connection: Connection, wanted: Wanted, now: datetime, wait: timedelta = timedelta()) -> Job:
    """Add a job that may run from now on, or after a wait; the first job where there is one of the same unique key."""
    name = schema.new_id()
    values = {field: getattr(wanted, field) for field in wanted.__dataclass_fields__}
    values |= {"id": name, "created_at": now, "run_after": now + wait, "payload": dict(wanted.payload)}
    insert_if_new(connection, schema.jobs, **values)
    this = schema.jobs.c.id == name if wanted.unique_key is None else schema.jobs.c.unique_key == wanted.unique_key
    return _job(connection.execute(select(schema.jobs).where(this)).one())


def waits(connection: Connection, kinds: Collection[str], now: datetime) -> bool:
    """Whether there is something to claim; only reads, so that idle workers disturb nobody."""
    jobs = schema.jobs.c
    return (
        connection.execute(select(jobs.id).where(jobs.kind.in_(kinds), or_(*_claimable(now))).limit(1)).first()
        is not None
    )


def due(connection: Connection, now: datetime) -> dict[str, int]:
    """How many jobs of each kind are at work or could be begun now: what more workers would help with."""
    jobs = schema.jobs.c
    these = or_(jobs.state == "running", and_(jobs.state == "waiting", jobs.run_after <= now))
    rows = connection.execute(select(jobs.kind, func.count()).where(these).group_by(jobs.kind))
    return {str(kind): int(count) for kind, count in rows}


def claim(connection: Connection, worker: str, kinds: Collection[str], now: datetime, lease: timedelta) -> Job | None:
    """Take a job of these kinds whose worker is silent, or else the one that waits longest; None where there is none.

    A job that lost its worker for the last time it may is dead. Each claim has an owner of its own (`lease_owner`), the
    worker's name with a number after it.
    """
    jobs = schema.jobs
    lost = and_(jobs.c.state == "running", jobs.c.lease_until < now, jobs.c.attempts >= jobs.c.most_attempts)
    silent = {"code": "lost", "message": "Its worker ended or fell silent on every attempt; look at the worker's log."}
    connection.execute(update(jobs).where(lost).values(**_ended("dead", now), error=silent))
    values = {
        "state": "running",
        "attempts": jobs.c.attempts + 1,
        "lease_owner": f"{worker[:80]}/{schema.new_id()}",
        "lease_until": now + lease,
        "progress": 0.0,
        "step": "",
    }
    for which in _claimable(now):  # one after the other, so that an index has each in its order
        first = select(jobs.c.seq).where(jobs.c.kind.in_(kinds), which).order_by(jobs.c.run_after, jobs.c.seq).limit(1)
        this = first.with_for_update(skip_locked=True).scalar_subquery()
        row = connection.execute(update(jobs).where(jobs.c.seq == this).values(values).returning(jobs)).first()
        if row is not None:
            return _job(row)
    return None


def beat(
    connection: Connection, job: Job, now: datetime, lease: timedelta, progress: float = 0.0, step: str = ""
) -> bool:
    """Say that the worker lives and how far it is; False where the job is no longer its own (lost, cancelled)."""
    values = {"lease_until": now + lease, "progress": min(max(progress, 0.0), 1.0), "step": step[:120]}
    return _mine(connection, job, values)


def finish(connection: Connection, job: Job, result: Mapping[str, Any], now: datetime) -> None:
    """End a job well. Call it first in the transaction that writes its results: it holds the job until the end.

    Raises LeaseLostError where the job is no longer this worker's; the transaction has to be left by that error.
    """
    values = _ended("done", now) | {"result": dict(result), "progress": 1.0, "step": "", "error": None}
    if not _mine(connection, job, values):
        raise LeaseLostError(f"job {job.id} is no longer {job.lease_owner}'s")


def set_result(connection: Connection, job: Job, result: Mapping[str, Any]) -> None:
    """The result of a job that was finished in this transaction, where it is known only after its rows are written."""
    connection.execute(update(schema.jobs).where(schema.jobs.c.id == job.id).values(result=dict(result)))


def fail(
    connection: Connection,
    job: Job,
    error: Mapping[str, Any],
    now: datetime,
    again: bool,
    chance: Callable[[], float] = _CHANCE,
) -> State | None:
    """Keep what went wrong; the job's new state, None where it is no longer this worker's.

    again: another try may mend it: the job waits (`back_off`), and is dead after its last attempt. chance: of [0, 1).
    """
    state: State = "failed" if not again else "dead" if job.attempts >= job.most_attempts else "waiting"
    values: dict[str, Any] = _ended(state, now) if state in ENDED else _waiting(now + back_off(job.attempts, chance()))
    return state if _mine(connection, job, values | {"error": dict(error)}) else None


def give_back(connection: Connection, job: Job, now: datetime) -> bool:
    """Leave a job to another worker at once, as if it had not been claimed: this one is being stopped."""
    return _mine(connection, job, _waiting(now) | {"attempts": job.attempts - 1})


def put_off(connection: Connection, job: Job, error: Mapping[str, Any], now: datetime) -> bool:
    """Let a job wait for a disk or database to come right, however long that takes: no attempt of it is used up.

    It waits for a sixtieth of its age, 15 s to 10 min: what a job of hours cannot do now it can hardly do in a moment,
    and one that fills the disk by itself leaves it to others meanwhile.
    """
    wait = min(max(PUT_OFF, (now - job.created_at) / 60), LONGEST_WAIT)
    values = _waiting(now + wait) | {"attempts": job.attempts - 1, "error": dict(error)}
    return _mine(connection, job, values)


def cancel(connection: Connection, job_id: str, now: datetime) -> State:
    """Cancel a job that waits or runs; the state it is in then, which is another where it had ended before.

    The worker learns of it at its next heartbeat, and can store nothing from now on. Raises RequestError 404.
    """
    jobs = schema.jobs
    these = update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(("waiting", "running")))
    if connection.execute(these.values(_ended("cancelled", now))).rowcount:
        return "cancelled"
    return get(connection, job_id, None).state


def again(connection: Connection, job_id: str, now: datetime) -> Job:
    """Let a job that failed, is dead or was cancelled be tried anew.

    Raises RequestError 404 without such a job, 409 for one in another state.
    """
    jobs = schema.jobs
    these = update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(("failed", "dead", "cancelled")))
    values = _waiting(now) | {"attempts": 0, "error": None, "ended_at": None}
    row = connection.execute(these.values(values).returning(jobs)).first()
    if row is None:
        state = get(connection, job_id, None).state
        raise RequestError(
            409, "job_state", f"The job is {state}; only one that failed or was cancelled can be repeated."
        )
    return _job(row)


def get(connection: Connection, job_id: str, visible: Visible) -> Job:
    """One job. Raises RequestError 404 where there is none that may be seen."""
    row = connection.execute(select(schema.jobs).where(schema.jobs.c.id == job_id, *seen(visible, schema.jobs))).first()
    if row is None:
        raise not_found("job")
    return _job(row)


def of_study(connection: Connection, study_id: str, kind: str) -> Job | None:
    """The newest job of a kind about a study."""
    jobs = schema.jobs.c
    these = (jobs.study_id == study_id, jobs.kind == kind)
    row = connection.execute(select(schema.jobs).where(*these).order_by(jobs.seq.desc()).limit(1)).first()
    return None if row is None else _job(row)


def page(
    connection: Connection,
    visible: Visible,
    before: int | None = None,
    limit: int = 50,
    state: State | None = None,
    kind: str | None = None,
    ids: Collection[str] = (),
) -> Page[Job]:
    """Jobs that may be seen, newest first; ids: of these alone. Raises RequestError for a wrong limit."""
    wanted = checked_limit(limit) + 1
    jobs = schema.jobs
    where = list(seen(visible, jobs))
    where += [] if before is None else [jobs.c.seq < before]
    where += [column == value for column, value in ((jobs.c.state, state), (jobs.c.kind, kind)) if value is not None]
    where += [jobs.c.id.in_(ids)] if ids else []
    statement: Select[Any] = select(jobs).where(*where).order_by(jobs.c.seq.desc()).limit(wanted)
    rows = connection.execute(statement).all()
    return paged([_job(row) for row in rows], [row.seq for row in rows], limit)


def back_off(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts: doubled each time up to a longest, and half of it by chance.

    w/2 + chance·w/2 with w = min(longest, first·2^(attempts − 1)), so that what failed together does not come back
    together ("equal jitter": M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015).
    """
    wait = min(LONGEST_WAIT, FIRST_WAIT * (1 << min(max(attempts, 1) - 1, 20)))
    return wait / 2 + wait / 2 * chance


def _claimable(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Jobs whose worker is silent, and jobs that wait; then those whose instants are of a clock that was put back."""
    jobs = schema.jobs.c
    running = and_(jobs.state == "running", jobs.attempts < jobs.most_attempts)
    return (
        and_(running, jobs.lease_until < now),
        and_(jobs.state == "waiting", jobs.run_after <= now),
        and_(running, jobs.lease_until > now + LONGEST_LEASE),
        and_(jobs.state == "waiting", jobs.run_after > now + LONGEST_WAIT),
    )


def _mine(connection: Connection, job: Job, values: Mapping[str, Any]) -> bool:
    jobs = schema.jobs
    own = (jobs.c.id == job.id, jobs.c.state == "running", jobs.c.lease_owner == job.lease_owner)
    return connection.execute(update(jobs).where(*own).values(dict(values))).rowcount == 1


def _ended(state: State, now: datetime) -> dict[str, Any]:
    return {"state": state, "ended_at": now, "lease_owner": None, "lease_until": None}


def _waiting(run_after: datetime) -> dict[str, Any]:
    return {"state": "waiting", "run_after": run_after, "lease_owner": None, "lease_until": None}


def _job(row: Row[Any]) -> Job:
    return Job(**{name: getattr(row, name) for name in Job.__dataclass_fields__})
