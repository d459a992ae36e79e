"""A caller's connection, read one protocol data unit at a time, with bounds on length and on time."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from typing import Final

from insula.serve.pacs.server import units

_MOST_AFTER: Final = 8 << 20  # bytes that are let pass once the last unit was sent
_AT_ONCE: Final = getattr(socket, "TCP_QUICKACK", None)  # Linux alone


class GoneError(Exception):
    """The caller has gone, or was silent for too long."""


@dataclass(frozen=True)
class Pace:
    """Seconds. request: until a caller has said what it wants; idle: without a byte; unit: for all of one unit."""

    request: float = 10.0
    idle: float = 60.0
    unit: float = 60.0


class Line:
    """One connection. A unit's body is seen until the next is read."""

    def __init__(self, connection: socket.socket, pace: Pace) -> None:
        self._socket, self._pace = connection, pace
        self._room = bytearray(units.MOST_DATA)
        self._seconds = -1.0
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self) -> tuple[int, memoryview]:
        """The first unit. Raises GoneError; UnitError for one that is no unit or too long."""
        return self._unit(units.MOST_REQUEST, self._pace.request, self._pace.request)

    def unit(self) -> tuple[int, memoryview]:
        """The next unit: its kind and its body. Raises as `request`."""
        return self._unit(units.MOST_DATA, self._pace.idle, self._pace.unit)

    def send(self, raw: bytes) -> None:
        """Send bytes. Raises GoneError."""
        try:
            self._socket.sendall(raw)
        except OSError as error:
            raise GoneError from error

    def stop_reading(self) -> None:
        """End a wait for the caller, from another thread: there is no next unit."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RD)  # not that of TLS, which would go on in plain text

    def close(self, linger: float) -> None:
        """Close the connection. linger: seconds for the caller to read what was sent, which a reset would destroy."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
            self._socket.settimeout(linger)
            until, left = time.monotonic() + linger, _MOST_AFTER
            while time.monotonic() < until and left > 0 and (more := len(self._socket.recv(1 << 16))):
                left -= more
        self._socket.close()

    def _unit(self, most: int, idle: float, whole: float) -> tuple[int, memoryview]:
        self._wait(idle)
        head = bytearray(6)
        self._fill(memoryview(head), time.monotonic() + idle + whole)
        kind, length = units.header(head)
        if not units.REQUEST <= kind <= units.ABORT:
            raise units.UnitError(units.UNKNOWN_UNIT, "a unit of no known kind")
        if length > most:
            raise units.UnitError(units.INVALID_VALUE, "a unit that is too long")
        body = memoryview(self._room if length <= len(self._room) else bytearray(length))[:length]
        self._fill(body, time.monotonic() + whole)
        return kind, body

    def _fill(self, room: memoryview, until: float) -> None:
        done, size = 0, len(room)
        while done < size:
            if time.monotonic() > until:
                raise GoneError
            if _AT_ONCE is not None:
                # senders that use Nagle's algorithm keep the end of a message back until what went before is
                # acknowledged, which is 40 ms later for each object where it is not asked for
                self._socket.setsockopt(socket.IPPROTO_TCP, _AT_ONCE, 1)
            try:
                got = self._socket.recv_into(room[done:])
            except OSError as error:
                raise GoneError from error
            if not got:
                raise GoneError
            done += got

    def _wait(self, seconds: float) -> None:
        if seconds != self._seconds:
            self._socket.settimeout(seconds)
            self._seconds = seconds
