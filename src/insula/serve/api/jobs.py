"""Jobs: how far they are, as it happens, and stopping them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from sqlalchemy import ColumnElement, and_, or_
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from insula.serve.api.cursor import MOST, After, Limit, Page, cursor, seen
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.shapes import Id, Job
from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.people.caller import Caller
from insula.serve.people.visible import visible
from insula.serve.service import Service
from insula.serve.store.connect import reading
from insula.serve.store.schema import jobs as table
from insula.serve.store.schema import now

_EVERY: Final = 0.25  # seconds between two looks at a job
_SELDOM: Final = 1.0  # the same, where nothing has changed for a while
_MOST_STREAMS: Final = 16  # of one person
_LONGEST: Final = 600.0  # seconds of one stream; a client connects again
_ASKED_AGAIN: Final = 30.0  # seconds after which a stream asks anew who it is for


class _Stream(StreamingResponse):
    """Events that are counted to a person from when they are promised until they end."""

    def __init__(self, streams: Counter[str], person: str, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._streams, self._person = streams, person
        streams[person] += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell what happens until the end, or until the client goes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams[self._person] -= 1
            self._streams += Counter()  # without those who follow nothing


def jobs_of(caller: Caller) -> ColumnElement[bool]:
    """The condition for jobs that a caller may see: of studies that he may see, and those that he asked for himself."""
    own = and_(table.c.study_id.is_(None), table.c.created_by == caller.user_id)
    return or_(visible(caller, table.c.project_id, table.c.study_id), own)


def routes(service: Service) -> APIRouter:
    """`/jobs`."""
    made = Routes(service, "/api/v1/jobs", "jobs")
    streams: Counter[str] = Counter()

    @made.get("", "job.read", quiet=True)
    def listed(
        acting: Acting,
        limit: Limit = 50,
        after: After = None,
        state: Literal["waiting", "running", "done", "failed", "dead", "cancelled"] | None = None,
        named: Annotated[list[Id], Query(alias="id", max_length=MOST, description="These alone.")] = [],  # noqa: B006
    ) -> Page[Job]:
        """Jobs of your projects, the newest first."""
        with acting.look() as connection:
            found = queue.page(connection, jobs_of(acting.caller), seen(after), limit, state, ids=named)
        return Page(
            items=[Job.model_validate(one) for one in found.rows],
            next=None if found.before is None else cursor(found.before),
        )

    @made.get("/{job_id}", "job.read", quiet=True)
    def one(acting: Acting, job_id: Id) -> Job:
        """One job."""
        return look(acting, job_id)

    @made.get("/{job_id}/events", "job.read", quiet=True, response_class=StreamingResponse)
    async def events(request: Request, acting: Acting, job_id: Id) -> Response:
        """The job's progress as server-sent events: `progress` while it is at work, `end` when it has ended.

        It breaks off within a minute once the caller may no longer see the job; connecting again says why.
        """
        await run_in_threadpool(look, acting, job_id)  # 404 before the stream begins
        if streams[acting.caller.user_id] >= _MOST_STREAMS:
            said = f"You follow {_MOST_STREAMS} jobs at a time already; close a page, or ask for the job instead."
            raise RequestError(429, "too_many_streams", said, {"Retry-After": "10"})
        return _Stream(streams, acting.caller.user_id, _events(request, acting, job_id))

    @made.delete("/{job_id}", "job.cancel")
    def cancel(acting: Acting, job_id: Id) -> Job:
        """Cancel a job that waits or is at work; what it made by then is not kept."""
        with acting.write("job.cancel", job_id) as connection:
            _check_kind(acting.caller, queue.get(connection, job_id, jobs_of(acting.caller)))
            queue.cancel(connection, job_id, now())
            return Job.model_validate(queue.get(connection, job_id, None))

    @made.post("/{job_id}/again", "job.cancel", statuses=(409,))
    def again(acting: Acting, job_id: Id) -> Job:
        """Try a job anew that failed or was cancelled."""
        with acting.write("job.again", job_id) as connection:
            _check_kind(acting.caller, queue.get(connection, job_id, jobs_of(acting.caller)))
            return Job.model_validate(queue.again(connection, job_id, now()))

    return made.router


def _check_kind(caller: Caller, job: queue.Job) -> None:
    """Refuse to change a job that moves something between machines (`pacs_…`) for who may not. Raises RequestError."""
    if job.kind.startswith("pacs_") and not caller.may("pacs.move"):
        raise RequestError(403, "forbidden", "This needs the permission 'pacs.move', which you lack; ask an admin.")


def look(acting: Act, job_id: str) -> Job:
    """A job as it is now. Raises RequestError 404."""
    with reading(acting.service.records) as connection:
        return Job.model_validate(queue.get(connection, job_id, jobs_of(acting.caller)))


async def until_ended(request: Request, acting: Act, job_id: str, seconds: float) -> Job:
    """A job once it has ended, or as it is after so many seconds or when the client is gone."""
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + seconds, 0.02
    while True:
        found = await run_in_threadpool(look, acting, job_id)
        if found.ended_at is not None or loop.time() >= until or await request.is_disconnected():
            return found
        await asyncio.sleep(min(pause, max(0.0, until - loop.time())))
        pause = min(2 * pause, _EVERY)


def _ask_again(request: Request, acting: Act) -> None:
    """Put the caller as he is by now into an act. Raises RequestError where he may see no job any more."""
    acting.caller = acting.service.caller_again(request, acting.caller)
    if not acting.caller.may("job.read"):
        raise RequestError(403, "forbidden", "This needs the permission 'job.read', which you lack; ask an admin.")


async def _events(request: Request, acting: Act, job_id: str) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    until, asked, told, quiet, pause = loop.time() + _LONGEST, loop.time(), "", 0.0, _EVERY
    while loop.time() < until and not await request.is_disconnected():
        try:
            if loop.time() - asked >= _ASKED_AGAIN:
                await run_in_threadpool(_ask_again, request, acting)
                asked = loop.time()
            found = await run_in_threadpool(look, acting, job_id)
        except RequestError:
            return
        text = json.dumps(found.model_dump(mode="json"))
        if found.ended_at is not None:
            yield f"event: end\ndata: {text}\n\n"
            return
        if text != told:
            yield f"event: progress\ndata: {text}\n\n"
            told, quiet, pause = text, 0.0, _EVERY
        elif quiet >= 15.0:
            yield ": still at work\n\n"
            quiet = 0.0
        await asyncio.sleep(pause)
        quiet += pause
        pause = min(1.2 * pause, _SELDOM)  # of a job that waits for long there is no news
