from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from insula.serve.faults import RequestError
from insula.serve.models.line import Line, Seconds, default_workers
from insula.serve.models.ticket import TICKET, enter

pytestmark = pytest.mark.serve


class Client:
    """A request whose client goes away when it is told to."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.request = Request({"type": "http", "method": "POST", "headers": []}, self._receive)

    async def _receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}


def _as_many(found: list[str], number: int) -> bool:
    return len(found) == number


async def soon(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.001)


async def fault(work: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await work
    return caught.value


def test_results_and_errors_come_through_and_places_are_free_again() -> None:
    async def story() -> None:
        line = Line(2, 0)
        assert await line.run(lambda a, b: a + b, 2, b=3) == 5
        with pytest.raises(ZeroDivisionError):
            await line.run(lambda: 1 / 0)
        assert line.held == 0
        await line.close()

    asyncio.run(story())


def test_a_client_that_goes_away_while_it_waits_frees_its_place_and_is_never_worked_for() -> None:
    async def story() -> None:
        line, go = Line(1, 1), threading.Event()
        worked: list[int] = []
        first = asyncio.create_task(line.run(go.wait, 60))
        await soon(lambda: line.held == 1)
        client = Client()
        second = asyncio.create_task(line.run_for(client.request, worked.append, 1))
        await soon(lambda: line.held == 2)
        assert (await fault(line.run(worked.append, 2))).fault_code == "busy"
        client.left.set()
        assert (await fault(second)).fault_code == "gone"
        assert line.held == 1
        third = asyncio.create_task(line.run(worked.append, 3))
        go.set()
        await asyncio.gather(first, third)
        assert worked == [3]
        await line.close()

    asyncio.run(story())


def test_a_client_that_goes_away_while_its_scan_is_read_is_not_predicted() -> None:
    async def story() -> None:
        line, reading, read, predicted = Line(1, 0), threading.Event(), threading.Event(), []
        ended = threading.Event()

        def work() -> None:
            reading.set()
            read.wait(60)
            try:
                enter("engine")
                predicted.append(1)
            finally:
                ended.set()

        client = Client()
        asked = asyncio.create_task(line.run_for(client.request, work))
        await soon(reading.is_set)
        client.left.set()
        assert (await fault(asked)).status == 499
        assert line.held == 0
        read.set()
        await soon(ended.is_set)
        assert predicted == []
        await line.close()

    asyncio.run(story())


@pytest.mark.parametrize("stage", ["place", "read", "engine", "answer"])
def test_each_stage_has_its_limit_and_its_own_code(stage: str) -> None:
    async def story() -> None:
        line = Line(1, 1, Seconds(**{"place": 60, "read": 60, "engine": 60, "answer": 60, stage: 0.01}))
        go = threading.Event()

        def work() -> None:
            for one in ("engine", "answer"):
                if stage in ("engine", "answer"):
                    enter(one)
                if one == stage:
                    break
            go.wait(60)

        first = asyncio.create_task(line.run(work))
        if stage == "place":
            await soon(lambda: line.held == 1)
            found = await fault(line.run(work))
            assert line.held == 1
        else:
            found = await fault(first)
            assert line.held == 0
        assert (found.status, found.fault_code) == (504, f"{stage}_timeout")
        assert int(found.headers["Retry-After"]) >= 1
        go.set()
        await asyncio.gather(first, return_exceptions=True)
        await line.close()

    asyncio.run(story())


def test_a_stage_that_passes_is_not_counted_to_the_next() -> None:
    now = 0.0

    async def story() -> None:
        nonlocal now
        line = Line(1, 0, Seconds(10, 10, 10, 10), clock=lambda: now)
        steps = [threading.Event() for _ in range(2)]
        done: list[str] = []

        def work() -> None:
            for stage, step in zip(("engine", "answer"), steps, strict=True):
                step.wait(60)
                enter(stage)  # type: ignore[arg-type]
                done.append(stage)

        asked = asyncio.create_task(line.run(work))
        await soon(lambda: line.held == 1)
        for number, step in enumerate(steps, start=1):
            now = 9.0 * number  # more than ten seconds in all, less in each stage
            step.set()
            await soon(partial(_as_many, done, number))
        await asked
        await line.close()

    asyncio.run(story())


def test_retry_after_is_told_by_the_measured_pace() -> None:
    now = 0.0

    async def story() -> None:
        nonlocal now
        line, go = Line(2, 4, clock=lambda: now), threading.Event()

        def slow() -> None:
            nonlocal now
            now += 30.0

        assert line.retry_after() == 1
        await line.run(slow)
        waiting = [asyncio.create_task(line.run(go.wait, 60)) for _ in range(6)]
        await soon(lambda: line.held == 6)
        found = await fault(line.run(slow))
        assert found.headers["Retry-After"] == "90"  # six cases of 30 s, two at a time
        go.set()
        await asyncio.gather(*waiting)
        await line.close()

    asyncio.run(story())


def test_closing_lets_those_at_work_end_and_sends_the_others_away() -> None:
    async def story() -> None:
        line, go = Line(1, 2), threading.Event()
        first = asyncio.create_task(line.run(lambda: go.wait(60) and "done"))
        await soon(lambda: line.held == 1)
        second = asyncio.create_task(line.run(lambda: "never"))
        await soon(lambda: line.held == 2)
        ending = asyncio.create_task(line.close())
        assert (await fault(second)).fault_code == "closing"
        assert (await fault(line.run(lambda: "never"))).fault_code == "closing"
        assert not ending.done()
        go.set()
        assert await first == "done"
        await ending

    asyncio.run(story())


def test_a_thread_knows_the_ticket_of_its_request_alone() -> None:
    async def story() -> None:
        line = Line(1, 0)
        tickets = [await line.run(TICKET.get) for _ in range(2)]
        assert None not in tickets
        assert tickets[0] is not tickets[1]
        assert TICKET.get() is None
        await line.close()

    asyncio.run(story())


def test_a_number_of_workers_is_found_where_none_is_given() -> None:
    assert Line(0, 0).workers == default_workers() >= 4
