"""The port: a thread for each connection, no more of them than there may be, and an end in good order."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Final

from insula.core.errors import UsageError
from insula.core.log import get
from insula.serve.pacs.server import units
from insula.serve.pacs.server.admission import FULL, Refusal, Room, of_caller
from insula.serve.pacs.server.line import Line, Pace
from insula.serve.pacs.server.session import Barred, Begin, Session
from insula.serve.pacs.settings import PacsSettings

_MORE: Final = 32  # connections beyond the associations, of callers that are yet to say who they are or are rejected
_MORE_FROM_ONE: Final = 8  # of them from one address, so that one that says nothing keeps out nobody else
_BACKLOG: Final = 128
_LONGEST_STOP: Final = 30.0  # seconds for all that is under way


class Listener:
    """What is open. context: of TLS, None without it."""

    def __init__(
        self,
        settings: PacsSettings,
        begin: Mapping[int, Begin],
        room: Room,
        context: ssl.SSLContext | None,
        pace: Pace,
        barred: Barred = lambda caller, name: False,
    ) -> None:
        self._barred = barred
        self._settings, self._begin, self._room, self._context, self._pace = settings, begin, room, context, pace
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, tuple[Line, Session] | None] = {}
        self._admitted: set[threading.Thread] = set()
        self._from: dict[threading.Thread, str] = {}

    def listen(self, place: socket.socket) -> None:
        """Take connections until the socket is closed."""
        while not self._stop.is_set():
            try:
                connection, address = place.accept()
            except OSError:
                if not self._stop.is_set():  # no more files may be open, or the caller has gone already
                    self._stop.wait(0.1)
                continue
            self._take(connection, str(address[0]))

    def closing(self) -> None:
        """Take no more connections."""
        self._stop.set()

    def stop(self) -> None:
        """End idle associations now, and the others after the object that is under way."""
        with self._lock:
            opened = dict(self._open)
        for made in opened.values():
            if made is not None and made[1].idle:
                made[0].stop_reading()
        until = monotonic() + _LONGEST_STOP
        for thread in opened:
            thread.join(max(0.0, until - monotonic()))

    def _take(self, connection: socket.socket, address: str) -> None:
        with self._lock:
            silent = sum(1 for one, place in self._from.items() if place == address and one not in self._admitted)
            if len(self._open) >= self._settings.most_associations + _MORE or silent >= _MORE_FROM_ONE:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection, address), name="pacs-caller", daemon=True)
            self._open[thread], self._from[thread] = None, address
        thread.start()

    def _serve(self, connection: socket.socket, address: str) -> None:
        here = threading.current_thread()
        try:
            with connection:
                connection.settimeout(self._pace.request)
                line = Line(self._wrapped(connection), self._pace)
                session = Session(line, address, self._admit_from(address), self._begin, self._stop, self._barred)
                with self._lock:
                    self._open[here] = line, session
                session.run()
        except OSError:  # the caller has gone, or does not speak TLS as it should
            get("pacs").warning("connection lost", address=address)
        except Exception as error:  # noqa: BLE001 - whatever one caller sends, the others go on
            get("pacs").error("association failed", address=address, error=type(error).__name__)
        finally:
            with self._lock:
                self._open.pop(here, None)
                self._from.pop(here, None)
                self._admitted.discard(here)

    def _wrapped(self, connection: socket.socket) -> socket.socket:
        return connection if self._context is None else self._context.wrap_socket(connection, server_side=True)

    def _admit_from(self, address: str) -> Callable[[units.Request], Refusal | None]:
        def admit(asked: units.Request) -> Refusal | None:
            refusal = of_caller(asked, address, self._settings) or self._room.refusal()
            with self._lock:
                if refusal is None and len(self._admitted) >= self._settings.most_associations:
                    refusal = FULL
                if refusal is None:
                    self._admitted.add(threading.current_thread())
            return refusal

        return admit


@contextmanager
def listening(
    settings: PacsSettings,
    begin: Mapping[int, Begin],
    room: Room,
    context: ssl.SSLContext | None,
    pace: Pace | None = None,
    barred: Barred = lambda caller, name: False,
) -> Iterator[int]:
    """Take associations as long as the block runs; gives the port. Raises UsageError where the port is taken."""
    place = _bound(settings)
    listener = Listener(settings, begin, room, context, pace or Pace(), barred)
    thread = threading.Thread(target=listener.listen, args=(place,), name="pacs-listener", daemon=True)
    thread.start()
    try:
        yield int(place.getsockname()[1])
    finally:
        listener.closing()
        with contextlib.suppress(OSError):
            place.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        place.close()
        thread.join()
        listener.stop()


def _bound(settings: PacsSettings) -> socket.socket:
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        place = socket.create_server(found[4][:2], family=found[0], backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(
            f"The node cannot listen on {settings.host}:{settings.port} ({error.strerror or error}); set "
            "INSULA_PACS_HOST and INSULA_PACS_PORT to an address of this machine and a port that is free."
        ) from error
    return place
