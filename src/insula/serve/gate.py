"""A bounded queue before the model: so many at work, so many waiting, and a clear no to the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread

from insula.serve.faults import busy

P = ParamSpec("P")
T = TypeVar("T")


class Gate:
    """Runs functions in threads; raises the `busy` RequestError (503 with Retry-After) when all places are taken."""

    def __init__(self, workers: int, queue: int) -> None:
        self._places = workers + queue
        self._held = 0
        self._at_work = asyncio.Semaphore(workers)

    def check(self) -> None:
        """Refuse early, before an upload is read for nothing."""
        if self._held >= self._places:
            raise busy()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Wait for a worker's place and run the function in a thread."""
        self.check()
        self._held += 1
        try:
            async with self._at_work:
                return await anyio.to_thread.run_sync(partial(function, *args, **kwargs))
        finally:
            self._held -= 1
