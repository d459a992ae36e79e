"""Connections that end where a client is too slow, and that make room where there are too many.

A server that waits for each client as long as it likes can be kept from all others by a few hundred of them that send
a byte now and then, or never read what they asked for. Here a request's head has its time, its body and the reading of
the answer a least pace; and a connection on which nothing is asked makes room for one on which something may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

Waits = Literal["head", "body", "answer"]
MOST: Final = 1024  # connections at a time
_HANDLES: Final = 1 << 16
_SLOW: Final = 5  # times what a connection may be idle: a body that takes longer may have to make room


@dataclass(frozen=True)
class Patience:
    """Seconds for a request's head, and those that a body and the reading of an answer may take at first.

    rate: bytes a second that a body or the reading of an answer has to make from then on; a body that came faster may
    rest no longer for it. idle: seconds after which a connection on which nothing is asked may have to make room: the
    request of a new one may be on its way.
    """

    head: float = 20.0
    body: float = 30.0
    answer: float = 30.0
    rate: float = 16 << 10
    idle: float = 1.0


class Connection(H11Protocol):
    """One connection, which knows for how long it has waited for its client."""

    patience: Patience = Patience()
    most: int = MOST
    _waits: Waits | None = "head"
    _since: float = 0.0
    _taken: int = 0
    _paid: float = 0.0  # the instant up to which a body has kept its pace, never one to come: no bytes buy a long pause

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here; where there are too many, one that asks for nothing has to go."""
        super().connection_made(transport)
        self._since = self._paid = self.loop.time()
        if len(self.connections) > self.most:
            make_room(self)

    def data_received(self, data: bytes) -> None:
        """The client sent something."""
        self._taken += len(data)
        self._paid = min(self.loop.time(), self._paid + len(data) / self.patience.rate)
        super().data_received(data)

    def resume_writing(self) -> None:
        """The client read something."""
        self._since = self.loop.time()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """A request is answered: whatever the client does next has its time from now on."""
        self._waits, self._since, self._taken = None, self.loop.time(), 0
        super().on_response_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """One line for one request; uvicorn's second one advises to install what is not wanted here."""
        self.logger.warning("Unsupported upgrade request.")

    @property
    def idle_since(self) -> float | None:
        """Since when nothing is asked for here; None where something is."""
        asked = self.cycle is not None and not self.cycle.response_complete
        whole = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        return self._since if whole and not asked else None

    def pace(self, now: float) -> float | None:
        """Bytes a second of a body that has been waited for, and for long enough to say so; None for anything else."""
        took = now - self._since
        waited = self._waits == "body" == self._waiting(0) and took >= _SLOW * self.patience.idle
        return self._taken / max(took, 1e-9) if waited and not self.transport.is_closing() else None

    def overdue(self, now: float) -> bool:
        """Whether the client took longer than it may; to be asked again and again. now: on the loop's clock."""
        pending = self.transport.get_write_buffer_size()
        waits = self._waiting(pending)
        if waits != self._waits:
            self._waits, self._since, self._paid = waits, now, now
        if waits is None:
            return False
        if waits == "body":
            return now - self._paid > self.patience.body
        allowed = self.patience.head if waits == "head" else self.patience.answer + pending / self.patience.rate
        return now - self._since > allowed

    def _waiting(self, pending: int) -> Waits | None:
        """What the client has to do next; None where the service has."""
        if pending:
            return "answer"
        if self.conn.their_state is h11.IDLE:
            return "head"
        return "body" if self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused else None


def make_room(newest: Connection) -> None:
    """Close the connection that has been idle for longest, one that is new only where no client is slow.

    In this order: the longest idle for `Patience.idle` at least; the body that comes slowest; the longest idle, which
    had the time in which all the others came for its request; where all are at work, the newest.
    """
    now = newest.loop.time()
    others = [one for one in newest.connections if isinstance(one, Connection) and one is not newest]
    idle = [(since, one) for one in others if (since := one.idle_since) is not None]
    slow = [(pace, one) for one in others if (pace := one.pace(now)) is not None]
    aged = [each for each in idle if each[0] <= now - newest.patience.idle]
    chosen = min(aged or slow or idle, key=lambda each: each[0], default=(0.0, newest))[1]
    chosen.transport.abort()


def sweep(connections: Collection[object], now: float) -> int:
    """Close what is overdue; how many that were."""
    late = [one for one in connections if isinstance(one, Connection) and one.overdue(now)]
    for one in late:
        one.transport.abort()
    return len(late)


def allow_handles() -> None:
    """Let this process open as many files and sockets as it may: uploads of many files take one for each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _HANDLES if most == resource.RLIM_INFINITY else min(most, _HANDLES)
    with contextlib.suppress(OSError, ValueError):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
