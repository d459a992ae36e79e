"""Whether the records answer, found out without ever making the service wait for them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from insula.serve.faults import RequestError

T = TypeVar("T")
PATIENCE: Final = 0.5  # seconds for one look
FRESH: Final = 10.0  # seconds for which the last look counts where a new one takes longer


class Look(Generic[T]):
    """A question to the records that is asked beside the service's threads, one at a time, and not waited for long."""

    def __init__(self, ask: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._lock = threading.Lock()
        self._asking: Future[T] | None = None
        self._last: tuple[float, T] | None = None

    async def answer(self) -> T:
        """What the records say, or said a few seconds ago. Raises RequestError 503, or what asking raises."""
        asking = self._begun()
        here = asyncio.wrap_future(asking)
        here.add_done_callback(lambda one: one.cancelled() or one.exception())  # seen, so that no loop logs its text
        await asyncio.wait({here}, timeout=PATIENCE)
        if asking.done():
            return asking.result()
        last = self._last
        if last is None or self._clock() - last[0] > FRESH:
            raise RequestError(503, "records_silent", "The records do not answer now; the service waits for them.")
        return last[1]

    def _begun(self) -> Future[T]:
        with self._lock:
            if self._asking is None or self._asking.done():
                self._asking = Future()
                threading.Thread(target=self._asked, args=(self._asking,), name="health", daemon=True).start()
            return self._asking

    def _asked(self, asking: Future[T]) -> None:
        try:
            found = self._ask()
        except BaseException as error:  # noqa: BLE001 - it is raised to whoever waits
            asking.set_exception(error)
            return
        self._last = (self._clock(), found)
        asking.set_result(found)
