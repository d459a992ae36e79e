"""The bounded queue before the models: so many at work, so many waiting, and a clear no to the rest.

A request takes a place when its files are here. It waits for a thread, which reads, prepares, runs the network and
makes the answer. A client that goes away, or whose stage takes too long, is given up: what waits never begins, and a
thread that is busy with it stops before the network's next call.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from starlette.requests import Request

from insula.core import cores
from insula.serve.faults import RequestError, busy
from insula.serve.models.ticket import TICKET, Stage, Ticket, gone

P = ParamSpec("P")
T = TypeVar("T")
_SAID: Final[dict[Stage, str]] = {
    "place": "waited for its turn",
    "read": "was read and prepared",
    "engine": "was in the network",
    "answer": "was made into an answer",
}
_WEIGHT: Final = 0.2  # of the newest case in the measured pace
_LONGEST: Final = 120  # seconds that a client is told to wait, at most


@dataclass(frozen=True)
class Seconds:
    """How long each stage of a request may take; see `ticket.Ticket`."""

    place: float = 60.0
    read: float = 150.0  # a decoder that hangs is ended after 120 s, with an error that names its file
    engine: float = 120.0
    answer: float = 60.0

    def of(self, stage: Stage) -> float:
        """The limit of one stage."""
        return {"place": self.place, "read": self.read, "engine": self.engine, "answer": self.answer}[stage]


def default_workers() -> int:
    """Cases at work at once where nobody says it: twice the cores and two, for decoders and network alike."""
    return min(2 * cores.usable() + 2, 32)


class Line:
    """Runs functions in threads, in the order in which they come; to be used from one event loop.

    workers: cases at work at once, 0 for `default_workers`. queue: requests that may wait beside those.
    """

    def __init__(
        self, workers: int, queue: int, limits: Seconds | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.workers = workers or default_workers()
        self.places = self.workers + queue
        self.limits = limits or Seconds()
        self.held = 0
        self._clock = clock
        self._pace = 0.0  # seconds that one case keeps a thread, 0 where none has been through
        self._closed = False
        self._threads = ThreadPoolExecutor(self.workers, "insula-line")

    def check(self) -> None:
        """Refuse early, before an upload is read for nothing: RequestError 503 with Retry-After."""
        if self._closed:
            raise closing()
        if self.held >= self.places:
            raise busy(self.retry_after())

    def retry_after(self) -> int:
        """Whole seconds until those that are held now are done at the measured pace, 1 to 120."""
        return max(1, min(_LONGEST, math.ceil(self.held * self._pace / self.workers)))

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`run_for` without a client that could go away."""
        return await self.run_for(None, function, *args, **kwargs)

    async def run_for(
        self, request: Request | None, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Wait for a thread, run the function in it, and give what it gives.

        request: whose body has been read; its client is watched. Raises RequestError 503 (no place, closing), 504 (a
        stage took too long), 499 (the client went away), and what the function raises.
        """
        self.check()
        self.held += 1
        ticket = Ticket(self._clock)
        try:
            return await self._followed(ticket, self._begun(ticket, function, *args, **kwargs), request)
        finally:
            self.held -= 1

    async def close(self) -> None:
        """Take nobody any more, let go of those that wait, and wait for those at work."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def _begun(self, ticket: Ticket, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        context = copy_context()
        context.run(TICKET.set, ticket)

        def work() -> T:
            begun = self._clock()
            ticket.enter("read")
            try:
                return function(*args, **kwargs)
            finally:
                took = self._clock() - begun
                self._pace = took if self._pace == 0.0 else (1 - _WEIGHT) * self._pace + _WEIGHT * took

        return self._threads.submit(context.run, work)

    async def _followed(self, ticket: Ticket, work: Future[T], request: Request | None) -> T:
        awaited = asyncio.wrap_future(work)
        awaited.add_done_callback(lambda f: f.cancelled() or f.exception())  # of one that was given up nobody asks
        watcher = None if request is None else asyncio.ensure_future(_left(request))
        loop = asyncio.get_running_loop()
        late: asyncio.Future[Stage] = loop.create_future()
        timer = loop.call_soon(lambda: None)
        due = math.inf  # when the next look is, on the line's clock

        def look() -> None:
            """Whether the present stage is over its limit; if not, look again when it would be."""
            nonlocal timer, due
            timer.cancel()
            stage = ticket.stage
            due = ticket.since + self.limits.of(stage)
            left = due - self._clock()
            if ticket.stage != stage:  # it changed meanwhile, and was held against the look before this one
                timer = loop.call_soon(look)
            elif left > 0:
                timer = loop.call_later(left, look)
            elif not late.done():
                late.set_result(stage)

        def stage_changed() -> None:
            if ticket.since + self.limits.of(ticket.stage) >= due:
                return  # the next look is early enough, and waking the loop up costs more than many a stage
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(lambda: None if late.done() else look())

        ticket.tell_by(stage_changed)
        look()
        watched: set[asyncio.Future[Any]] = {awaited, late, *([] if watcher is None else [watcher])}
        try:
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if awaited in done:
                if awaited.cancelled():
                    raise closing()
                return awaited.result()
            if late in done:
                raise _too_slow(late.result(), self.limits.of(late.result()), self.retry_after())
            raise gone()
        finally:
            ticket.give_up()
            work.cancel()
            late.cancel()
            timer.cancel()
            if watcher is not None:
                watcher.cancel()


async def _left(request: Request) -> None:
    """Return when the client has gone; the body has been read, so that nothing else can come from it."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def closing() -> RequestError:
    """The service is ending."""
    return RequestError(
        503, "closing", "The service is ending; send the scan again in a minute.", {"Retry-After": "60"}
    )


def _too_slow(stage: Stage, seconds: float, retry: int) -> RequestError:
    said = (
        f"The scan {_SAID[stage]} for more than {seconds:g} s, which is the most; send it again when there is less to "
        "do, or in smaller parts."
    )
    return RequestError(504, f"{stage}_timeout", said, {"Retry-After": str(retry)})
