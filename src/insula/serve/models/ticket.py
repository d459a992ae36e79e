"""One request's way through the model: the stage that it is in, and whether anybody still waits for its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, Literal

from insula.serve.faults import RequestError

Stage = Literal["place", "read", "engine", "answer"]


class Ticket:
    """Shared by the request's coroutine and the thread that works for it.

    stage: `place` (waits for a thread), `read` (decoding and preparation), `engine` (waits for the network, or is in
    it), `answer` (what is made of the network's outputs). since: when that stage began, on `clock`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._given_up = False
        self._wake: Callable[[], None] | None = None
        self._tell: Callable[[], None] | None = None
        self.stage: Stage = "place"
        self.since = clock()

    def enter(self, stage: Stage) -> None:
        """The next stage begins. Raises RequestError (499) where nobody waits for the answer any more."""
        self.check()
        if stage != self.stage:
            self.stage, self.since = stage, self._clock()
            if self._tell is not None:
                self._tell()

    def check(self) -> None:
        """Raise RequestError (499) where nobody waits for the answer any more."""
        if self._given_up:
            raise gone()

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._given_up

    def give_up(self) -> None:
        """Nobody waits any more: what has not begun yet never will."""
        with self._lock:
            self._given_up, wake = True, self._wake
        if wake is not None:
            wake()

    def tell_by(self, tell: Callable[[], None]) -> None:
        """What is called when a stage begins."""
        self._tell = tell

    def wake_by(self, wake: Callable[[], None] | None) -> None:
        """What `give_up` calls, so that whoever sleeps over this ticket looks at it; None for nothing."""
        with self._lock:
            self._wake = wake


def gone() -> RequestError:
    """The client went away, or was told that it took too long: this answer is for nobody."""
    return RequestError(499, "gone", "The client went away before its scan was predicted; send it again.")


TICKET: Final[ContextVar[Ticket | None]] = ContextVar("ticket", default=None)


def enter(stage: Stage) -> None:
    """The ticket of this thread's request enters a stage; nothing where no request is behind it."""
    if (ticket := TICKET.get()) is not None:
        ticket.enter(stage)
