"""A worker: claims jobs, says that it lives while it works, and stores what each made in one transaction."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from insula.core.errors import InsulaError
from insula.serve import trouble
from insula.serve.faults import fault, status_of
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Job, LeaseLostError
from insula.serve.store.connect import reading, writing
from insula.serve.store.in_use import hold_files
from insula.serve.store.schema import now

Progress = Callable[[float, str], None]
Cancelled = Callable[[], bool]
Write = Callable[[Connection], Mapping[str, Any]]
Handler = Callable[[Job, Progress, Cancelled], Write]
_LEAST_BEAT = 0.5  # seconds between heartbeats that carry news
_log = structlog.get_logger(__name__)


class GivenUpError(Exception):
    """What a handler raises when it was told to stop (`cancelled()`) and did."""


@dataclass(frozen=True)
class Pace:
    """Seconds: of a lease, between heartbeats (a fraction of a lease), and of the first and longest idle wait."""

    lease: float = 60.0
    beat: float = 10.0
    idle: float = 0.1
    most_idle: float = 2.0


PACE = Pace()


def work(
    engine: Engine,
    handlers: Mapping[str, Handler],
    worker: str,
    stop: threading.Event,
    pace: Pace = PACE,
    clock: Callable[[], datetime] = now,
    until_idle: bool = False,
) -> int:
    """Work on jobs of the handlers' kinds until `stop` is set, or until there is none (`until_idle`); jobs ended.

    A handler gets the job, a function to report progress (0 to 1, and the step in words) and one that tells whether to
    stop, because the job was cancelled or lost, or the worker is being stopped; then it may raise GivenUpError. What it
    returns writes the results in the transaction that ends the job, and returns the job's result. An InsulaError that
    the sender can mend ends the job as failed, any other error lets it be tried again later. While the database does
    not answer the worker waits.
    """
    ended, wait = 0, pace.idle
    while not stop.is_set():
        try:
            job = _claimed(engine, handlers, worker, pace, clock)
            if job is not None:
                ended += _worked(engine, handlers[job.kind], job, _Running(engine, job, stop, pace, clock))
                wait = pace.idle
                continue
        except SQLAlchemyError as error:  # its text may hold what was to be stored
            _log.warning("records do not answer", error=type(error).__name__)
        if until_idle:
            return ended
        stop.wait(wait)
        wait = min(2 * wait, pace.most_idle)
    return ended


def _claimed(
    engine: Engine, handlers: Mapping[str, Handler], worker: str, pace: Pace, clock: Callable[[], datetime]
) -> Job | None:
    with reading(engine) as connection:
        if not queue.waits(connection, list(handlers), clock()):
            return None
    with writing(engine) as connection:
        return queue.claim(connection, worker, list(handlers), clock(), timedelta(seconds=pace.lease))


def _worked(engine: Engine, handler: Handler, job: Job, running: _Running) -> bool:
    """Run one job to its end, whichever that is; whether it ended here and is not left to another."""
    _log.info("job", id=job.id, kind=job.kind, attempt=job.attempts)
    try:
        with running:
            write = handler(job, running.report, running.cancelled)
            running.write(write)
    except LeaseLostError:
        _log.warning("job lost", id=job.id)
        return False
    except GivenUpError:
        with writing(engine) as connection:
            queue.give_back(connection, job, running.clock())
        return False
    except InsulaError as error:
        mended_by_another_try = status_of(error) >= 500
        told = {"code": fault(error)["code"], "message": str(error), **getattr(error, "more", {})}
        return _failed(engine, job, told, running, mended_by_another_try)
    except Exception as error:  # noqa: BLE001 - whatever a handler meets, the worker goes on
        met = trouble.of(error)
        if met is not None:
            _log.warning("job put off", id=job.id, code=met.fault_code)
            with writing(engine) as connection:
                queue.put_off(connection, job, {"code": met.fault_code, "message": str(met)}, running.clock())
            return False
        place = traceback.extract_tb(error.__traceback__)[-1]  # without the error's text, which may name a patient
        _log.error("job failed", id=job.id, error=type(error).__name__, place=f"{place.filename}:{place.lineno}")
        told = {"code": "internal", "message": f"The job met an error of the program ({type(error).__name__})."}
        return _failed(engine, job, told, running, again=True)
    return True


def _failed(engine: Engine, job: Job, told: Mapping[str, Any], running: _Running, again: bool) -> bool:
    with writing(engine) as connection:
        state = queue.fail(connection, job, told, running.clock(), again)
    return state in queue.ENDED


class _Running:
    """A job at work, with the thread that keeps its lease."""

    def __init__(
        self, engine: Engine, job: Job, stop: threading.Event, pace: Pace, clock: Callable[[], datetime]
    ) -> None:
        self.clock = clock
        self._engine, self._job, self._stop, self._pace = engine, job, stop, pace
        self._lost, self._over, self._news = threading.Event(), threading.Event(), threading.Event()
        self._told = (0.0, "")
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{job.id}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._news.set()
        self._thread.join()

    def report(self, progress: float, step: str = "") -> None:
        """Say how far the work is; a heartbeat carries it soon."""
        self._told = (progress, step)
        self._news.set()

    def cancelled(self) -> bool:
        """Whether the handler should stop."""
        return self._lost.is_set() or self._stop.is_set()

    def write(self, results: Write) -> None:
        """End the job and store its results, both or neither."""
        with writing(self._engine) as connection:
            hold_files(connection, alone=False)  # before the job's row is locked: whoever erases goes in this order
            queue.finish(connection, self._job, {}, self.clock())
            queue.set_result(connection, self._job, results(connection))

    def _beat(self) -> None:
        while not self._over.wait(min(_LEAST_BEAT, self._pace.beat)):
            self._news.wait(self._pace.beat)
            self._news.clear()
            if self._over.is_set():
                return
            try:
                with writing(self._engine) as connection:
                    lease = timedelta(seconds=self._pace.lease)
                    alive = queue.beat(connection, self._job, self.clock(), lease, *self._told)
            except SQLAlchemyError as error:
                _log.warning("heartbeat missed", id=self._job.id, error=type(error).__name__)
                continue
            if not alive:
                if not self._over.is_set():
                    self._lost.set()
                return
