"""A clock that is put forward and back: nothing is lost by it, and nobody gets in or is kept out for long."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert, select
from tests.faults.tally import Tally, sizes

from insula.serve.jobs import queue
from insula.serve.jobs.queue import Job, Wanted
from insula.serve.jobs.worker import Cancelled, Progress, Write, work
from insula.serve.models.limit import ClientLimit
from insula.serve.people import log_in, projects, sessions, users
from insula.serve.people.log_in import Refused
from insula.serve.people.settings import PeopleSettings
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.migrate import upgrade
from insula.serve.trail.append import append
from insula.serve.trail.heads import due, sign
from insula.serve.trail.keys import signing_key
from insula.serve.trail.rows import end
from insula.serve.trail.verify import verify

pytestmark = pytest.mark.serve
KEY, PASSWORD = b"k" * 40, "a long enough phrase"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOST = timedelta(days=4000)


class Clock:
    """A clock that jumps by anything from a second to years, to either side, and then goes on."""

    def __init__(self, seed: int) -> None:
        self.g, self.at, self.jumps = random.Random(seed), START, 0

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=self.g.uniform(0, 2))
        return self.at

    def jump(self) -> timedelta:
        """Put it somewhere else; by how much."""
        self.jumps += 1
        by = timedelta(seconds=10 ** self.g.uniform(0, 8.2)) * self.g.choice((1, -1))
        self.at = min(max(self.at + by, START - MOST), START + MOST)
        return by


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = connect(f"sqlite:///{tmp_path}/insula.db")
    upgrade(made)
    yield made
    made.dispose()


@sizes("count", 12, 1000)
def test_jobs_are_done_once_whenever_the_clock_jumps(engine: Engine, tally: Tally, count: int) -> None:
    """Jobs that are put, claimed, lost by their worker, failed and done, with jumps between."""
    clock = Clock(1)

    def handle(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        clock.jump()
        if clock.g.random() < 0.3:
            raise OSError(28, "No space left on device")

        def write(connection: Connection) -> dict[str, str]:
            connection.execute(insert(schema.alerts).values(kind="made", message=job.id, bundle_id=schema.new_id()))
            return {}

        return write

    for number in range(count):
        with writing(engine) as connection:
            queue.put(connection, Wanted("made", {"number": number}, most_attempts=50), clock())
            if clock.g.random() < 0.3:  # a worker that takes it and is killed
                queue.claim(connection, "killed", ["made"], clock(), timedelta(seconds=60))
        clock.jump()
        work(engine, {"made": handle}, "w", threading.Event(), clock=clock, until_idle=True)
    for _ in range(60):  # a clock that goes as it should, for as long as any wait or lease takes
        clock.at += timedelta(seconds=20)
        work(engine, {"made": handle}, "w", threading.Event(), clock=lambda: clock.at, until_idle=True)
        clock.at += timedelta(minutes=1)
    with reading(engine) as connection:
        made = Counter(connection.scalars(select(schema.alerts.c.message)))
        states = Counter(connection.scalars(select(schema.jobs.c.state)))
    tally.tried(
        "jobs put, claimed, lost and done while the clock jumps by seconds to years",
        count,
        lost=count - len(made),
        doubled=made.total() - len(made),
        failed=states.total() - states["done"],
        figures={"jumps": float(clock.jumps)},
    )


@sizes("count", 10, 1000)
def test_sessions_and_locks(engine: Engine, tally: Tally, count: int) -> None:
    """No session outlives its end, by whichever clock it began; and no lock outlives its longest."""
    settings, g = PeopleSettings(insecure_cookies=True), random.Random(2)
    with writing(engine) as connection:
        inside = projects.create(connection, "Inside", START).id
        ann = users.create(connection, "ann", "reviewer", START, password=PASSWORD, projects_in=[inside])
    leaked = failed = 0
    for _ in range(count):
        ahead = timedelta(seconds=10 ** g.uniform(2.7, 8.2))
        with writing(engine) as connection:
            begun = sessions.start(connection, ann.id, START + ahead, settings)  # the clock was ahead
            later = START + timedelta(seconds=g.uniform(0, 600))
            leaked += (
                sessions.find(connection, begun.secret, later, settings) is not None and ahead > sessions.AHEAD * 4
            )
            honest = sessions.start(connection, ann.id, later, settings)
            failed += sessions.find(connection, honest.secret, later, settings) is None
            leaked += sessions.find(connection, honest.secret, later + settings.longest, settings) is not None
            wrong = log_in.Attempt(ann.id, "hash of another")
            for _ in range(settings.lock_after):
                log_in.finish(connection, wrong, START + ahead, settings)
            locked = log_in.finish(connection, wrong, START + ahead, settings)
            assert isinstance(locked, Refused)
            failed += locked.reason != "locked"
            if ahead > timedelta(days=2):  # the clock is right again
                again = log_in.finish(connection, wrong, later, settings)
                assert isinstance(again, Refused)
                failed += again.reason == "locked"
            connection.execute(schema.users.update().values(failed_logins=0, locked_until=None))
    tally.tried("sessions and locks of a clock that was ahead and is right again", count, leaked=leaked, failed=failed)


@sizes("count", 20, 1000)
def test_the_trail_and_its_heads(engine: Engine, tmp_path: Path, tally: Tally, count: int) -> None:
    """Entries hold in the order in which they came, and heads go on to be signed."""
    clock, failed, last = Clock(3), 0, None
    for _ in range(count):
        clock.jump()
        with writing(engine) as connection:
            append(connection, KEY, actor="ada", action="study.read", at=clock())
        with reading(engine) as connection:
            mark = end(connection)
        back = last is not None and clock.at < datetime.fromisoformat(last.at)
        failed += back and not due(last, mark.seq, clock.at)
        last = sign(mark, clock.at, signing_key(KEY))
    verdict = verify(engine, KEY)
    tally.tried(
        "entries of the trail written while the clock jumps", count, lost=count - verdict.entries, failed=failed
    )


@sizes("count", 20, 2000)
def test_limits_do_not_go_by_a_clock_that_jumps(tally: Tally, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The wall clock has no say in who asks too often."""
    steady, failed = [0.0], 0
    limit = ClientLimit(60.0, 5, lambda: steady[0])
    monkeypatch.setattr("time.time", lambda: random.Random(steady[0]).uniform(0, 4e9))
    for _ in range(count):
        steady[0] += 1.0
        try:
            limit.take("ada")
        except Exception:  # noqa: BLE001 - whatever it is, it is counted
            failed += 1
    tally.tried("requests within a client's limit while the clock jumps", count, failed=failed)
