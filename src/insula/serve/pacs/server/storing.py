"""C-STORE (PS3.4, Annex B; PS3.7, 9.1.1): an object is acknowledged once it is on the disk and in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from insula.core.errors import InsulaError
from insula.core.log import get
from insula.serve.pacs.arrival import Arrival, arriving
from insula.serve.pacs.pseudonymise import Pseudonyms
from insula.serve.pacs.received import (
    CANNOT_UNDERSTAND,
    NO_RESOURCES,
    NOT_ITS_CLASS,
    RefusedInstanceError,
    in_memory,
    taken,
)
from insula.serve.pacs.server import commands, units
from insula.serve.pacs.server.admission import Room
from insula.serve.pacs.server.commands import Command
from insula.serve.pacs.server.session import Answer, Begin, Work, plain
from insula.serve.pacs.server.units import UnitError
from insula.serve.pacs.settings import PacsSettings
from insula.serve.service import Service

_LEAST: Final = 0.5  # of the free disk that must be there for an association: what is under way may go on into this


class _Storing:
    """The work on one object. arrival: None where it is not taken, and only let pass."""

    def __init__(self, service: Service, caller: str, most: int, pseudonyms: Pseudonyms | None) -> None:
        self._service, self._caller, self._most, self._pseudonyms = service, caller, most, pseudonyms
        self._passed = 0
        self.arrival: Arrival | None = None
        self.refused: Answer | None = None

    def write(self, part: memoryview) -> None:
        """Keep a part; of an object that is refused, the rest passes, as senders take no answer before its end."""
        if self.arrival is None or self.refused is not None:
            self._passed += len(part)
            if self._passed > self._most:
                raise UnitError(units.NOT_SAID, "an object that goes on for long after it was refused")
            return
        try:
            self.arrival.write(part)
        except (RefusedInstanceError, OSError) as error:
            self.refused = _said(error)

    def done(self) -> Answer:
        """The status: 0x0000 of an object that is stored, also where it was stored before."""
        if self.refused is None and self.arrival is not None:
            try:
                taken(self._service, self.arrival, self._caller, self._pseudonyms)
                return commands.DONE, ""
            except (InsulaError, OSError, SQLAlchemyError) as error:
                self.refused = _said(error)
        status, why = self.refused or (NO_RESOURCES, "")
        get("pacs").warning("object refused", caller=plain(self._caller), status=f"0x{status:04X}", why=why)
        return status, why


def storing(service: Service, settings: PacsSettings, room: Room, pseudonyms: Pseudonyms | None) -> Begin:
    """What begins the work on a C-STORE."""
    most = settings.max_instance_mb << 20

    @contextmanager
    def begin(command: Command, about: str, syntax: str, caller: str) -> Iterator[Work]:
        work = _Storing(service, caller, most, pseudonyms)
        if command.class_uid != about:
            work.refused = NOT_ITS_CLASS, "The SOP class is not that of the context."
        elif not room.has_disk(_LEAST):
            work.refused = NO_RESOURCES, "There is too little room on the disk."
        if work.refused is not None:
            yield work
            return
        try:
            with arriving(service.files, about, command.object_uid, syntax, most, in_memory(pseudonyms)) as arrival:
                work.arrival = arrival
                yield work
        except (RefusedInstanceError, OSError) as error:
            if work.arrival is not None:
                raise
            work.refused = _said(error)
            yield work

    return begin


def _said(error: Exception) -> Answer:
    """A status and words that name nothing of the object."""
    if isinstance(error, RefusedInstanceError):
        return error.status, str(error)
    if isinstance(error, OSError):
        return NO_RESOURCES, f"The object cannot be stored ({type(error).__name__})."
    if isinstance(error, SQLAlchemyError):
        return NO_RESOURCES, "The records cannot be written."
    return CANNOT_UNDERSTAND, "The object cannot be taken; see the log of the node."
