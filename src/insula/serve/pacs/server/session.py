"""One association from its request to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Final, Protocol

from insula.core.log import get
from insula.serve.pacs.file_meta import IMPLEMENTATION
from insula.serve.pacs.server import agreed, commands, units
from insula.serve.pacs.server.admission import Refusal
from insula.serve.pacs.server.commands import Command, CommandError
from insula.serve.pacs.server.line import GoneError, Line
from insula.serve.pacs.server.units import Answered, Part, UnitError

_MOST_UNKNOWN: Final = 16 << 20  # bytes
_LINGER: Final = 2.0  # seconds in which a caller may take the last unit
Answer = tuple[int, str]  # a status, and a comment of at most 64 characters


class Work(Protocol):
    """What is done for a request that brings a data set."""

    def write(self, part: memoryview) -> None:
        """Take a part of the data set. Raises UnitError where the association should end."""

    def done(self) -> Answer:
        """The answer, once all of the data set has come."""


# of a command, its context's SOP class and transfer syntax, and who calls; nothing of it is left once it is closed
Begin = Callable[[Command, str, str, str], AbstractContextManager[Work]]
Admit = Callable[[units.Request], Refusal | None]
Barred = Callable[[str, str], bool]  # whether objects of a caller and of a SOP class are not taken


class Session:
    """An association. admit: why not; begin: the work on a request, by its kind; stop: set when the node ends."""

    def __init__(
        self,
        line: Line,
        address: str,
        admit: Admit,
        begin: Mapping[int, Begin],
        stop: threading.Event,
        barred: Barred = lambda caller, name: False,
    ) -> None:
        self._barred = barred
        self._line, self._address, self._admit, self._begin, self._stop = line, address, admit, begin, stop
        self._contexts: dict[int, tuple[Answered, str]] = {}
        self._caller, self._most = "", 0
        self._context, self._raw = 0, bytearray()  # of the message that comes in, and its command as far as it came
        self._command: Command | None = None
        self._work: Work | None = None
        self._open_work = ExitStack()
        self.idle = True

    def run(self) -> None:
        """Serve the caller until it goes, breaks the standard, or the node ends."""
        try:
            with self._open_work:
                if self._opened():
                    self._serve()
        except UnitError as error:
            self._say("association aborted", str(error))
            self._last(units.aborted(error.reason))
        except GoneError:
            self._last(units.aborted(units.NOT_SAID, provider=False))
        finally:
            self._line.close(_LINGER)

    def _opened(self) -> bool:
        kind, body = self._line.request()
        if kind != units.REQUEST:
            raise UnitError(units.UNEXPECTED_UNIT, "no request for an association")
        asked = units.request(bytes(body))
        refusal = self._admit(asked)
        self._caller, self._most = asked.calling, asked.most
        if refusal is not None:
            self._say("association rejected", refusal.why)
            self._line.send(units.rejected(refusal.result, refusal.source, refusal.reason))
            return False
        self._contexts = agreed.answers(asked.contexts, lambda name: self._barred(asked.calling, name))
        told = [answer for answer, _ in self._contexts.values()]
        self._line.send(units.accepted(asked, told, IMPLEMENTATION))
        return True

    def _serve(self) -> None:
        while True:
            self.idle = self._command is None and not self._raw
            if self.idle and self._stop.is_set():
                raise GoneError
            kind, body = self._line.unit()
            self.idle = False
            if kind == units.DATA:
                for part in units.parts(body):
                    self._part(part)
            elif kind == units.RELEASE:
                self._line.send(units.released())
                return
            elif kind == units.ABORT:
                return
            else:
                raise UnitError(units.UNEXPECTED_UNIT, "a unit that does not belong here")

    def _part(self, part: Part) -> None:
        """A part of a message (PS3.7, 6.3.1): first all of its command, then all of its data set, in one context."""
        if part.context != self._context and (self._raw or self._command):
            raise UnitError(units.INVALID_VALUE, "a message in two contexts")
        if part.command != (self._command is None):
            raise UnitError(units.INVALID_VALUE, "a part that belongs to no message")
        if self._work is not None:
            self._work.write(part.content)
            if part.last:
                self._answered(*self._work.done())
            return
        self._context = part.context
        self._raw += part.content
        if len(self._raw) > commands.MOST:
            raise UnitError(units.INVALID_VALUE, "a command set that is too long")
        if part.last:
            self._commanded()

    def _commanded(self) -> None:
        answer, about = self._contexts.get(self._context, (None, ""))
        if answer is None or answer.result != agreed.ACCEPTED:
            raise UnitError(units.INVALID_VALUE, "a message in a context that was not agreed on")
        try:
            command = commands.read(self._raw)
        except CommandError as error:
            raise UnitError(units.INVALID_VALUE, str(error)) from error
        self._command = command
        if command.has_data:
            begin = self._begin.get(command.kind, _unknown)
            self._work = self._open_work.enter_context(begin(command, about, answer.syntax, self._caller))
        elif command.kind == commands.CANCEL:  # of a request that was answered before this came
            self._next()
        elif command.kind == commands.ECHO:
            self._answered(commands.DONE, "")
        else:
            known = command.kind in self._begin
            self._answered(commands.FAILED if known else commands.NO_SUCH_OPERATION, "")

    def _answered(self, status: int, comment: str) -> None:
        command = self._command
        if command is None:
            raise ValueError("there is no request to be answered")
        self._open_work.close()
        context = self._context
        self._next()
        self._line.send(units.data(context, commands.answer(command, status, comment), self._most))

    def _next(self) -> None:
        self._command, self._work, self._raw = None, None, bytearray()

    def _say(self, what: str, why: str) -> None:
        get("pacs").warning(what, caller=plain(self._caller), address=self._address, why=why)

    def _last(self, raw: bytes) -> None:
        with suppress(GoneError):
            self._line.send(raw)


class _Unknown:
    """A request of a kind that the node does not do: its data set is let pass, as far as it is not long."""

    def __init__(self) -> None:
        self._size = 0

    def write(self, part: memoryview) -> None:
        self._size += len(part)
        if self._size > _MOST_UNKNOWN:
            raise UnitError(units.NOT_SAID, "a long data set for nothing")

    def done(self) -> Answer:
        return commands.NO_SUCH_OPERATION, ""


@contextmanager
def _unknown(command: Command, about: str, syntax: str, caller: str) -> Iterator[Work]:
    yield _Unknown()


def plain(title: str) -> str:
    """An AE title that somebody sent, fit for a log."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in title)[:16]
