"""Received objects in the database: what arrives at the same time is written in one transaction.

A commit waits for the disk; whoever comes while one is under way is written by the next together with all who waited.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection, Engine, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError

from insula.core.errors import ScanError
from insula.serve.pacs.heads import Head
from insula.serve.pacs.ours import is_ours
from insula.serve.store import schema
from insula.serve.store.connect import writing
from insula.serve.store.files import Files, Stored
from insula.serve.store.in_use import hold_files
from insula.serve.store.patients import insert_if_new

# statuses of a C-STORE response (PS3.4, B.2.3; PS3.7, Annex C)
CANNOT_UNDERSTAND: Final = 0xC000
NOT_ITS_CLASS: Final = 0xA900
NO_RESOURCES: Final = 0xA700
DUPLICATE: Final = 0x0111
State = Literal["kept", "again"]
# made once: to build a statement takes longer than to write an object
_SEQ: Final = schema.pacs_instances.c.seq
_INSERT_SQLITE: Final = sqlite.insert(schema.pacs_instances).on_conflict_do_nothing().returning(_SEQ)
_INSERT_POSTGRESQL: Final = postgresql.insert(schema.pacs_instances).on_conflict_do_nothing().returning(_SEQ)
_TOUCH: Final = update(schema.pacs_studies).where(schema.pacs_studies.c.id == bindparam("this"))
_MOST: Final = 64  # objects of one transaction
LONGEST_SOURCE: Final = 64  # characters that are kept of who sent it
_KNOWN: Final = 1024  # series whose rows are remembered


class RefusedInstanceError(ScanError):
    """An object that is not taken. status: of the C-STORE response."""

    code = "refused_instance"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NoRoomError(RefusedInstanceError):
    """An object that could not be kept just now: whoever holds it has to send or fetch it again."""

    code = "no_room"

    def __init__(self, message: str) -> None:
        super().__init__(NO_RESOURCES, message)


@dataclass(frozen=True)
class Sealed:
    """Who a pseudonymised patient is, as text that only the node can read: of the study, the series, the object."""

    study: str
    series: str
    instance: str


@dataclass(frozen=True)
class Entry:
    """A stored object that is to be entered. content: tells a repeat from another object under the same UID."""

    head: Head
    source: str
    stored: Stored
    content: str
    sealed: Sealed | None = None


class Entries:
    """Enters objects of several threads together. files: where they were stored."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._queue: list[_Ticket] = []
        self._changing, self._turn = threading.Lock(), threading.Lock()
        self._known: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()

    def enter(self, records: Engine, entry: Entry) -> State:
        """Write the rows of one object, always in the same records; they are on the disk when this returns.

        The state is `again` where they were there before. Raises RefusedInstanceError for another object under the same
        UID and for one whose file was swept meanwhile, and SQLAlchemy's errors for records that cannot be written.
        """
        ticket = _Ticket(entry)
        with self._changing:
            self._queue.append(ticket)
        while not ticket.done:
            with self._turn:  # whoever has it writes for all who wait
                if not ticket.done:
                    self._next(records)
        if ticket.state is None:
            raise ticket.error or RuntimeError("the thread that wrote for this one was stopped")
        return ticket.state

    def _next(self, records: Engine) -> None:
        with self._changing:
            batch, self._queue = self._queue[:_MOST], self._queue[_MOST:]
        batch.sort(key=_in_order)
        try:
            self._try(records, batch)
            if any(isinstance(ticket.error, DataError | IntegrityError) for ticket in batch):
                # what spoils one must not spoil the others; and rows that were remembered may have been erased
                self._known.clear()
                for ticket in batch:
                    self._try(records, [ticket])
        finally:
            for ticket in batch:
                ticket.done = True

    def _try(self, records: Engine, batch: Sequence[_Ticket]) -> None:
        try:
            self._write(records, batch)
        except Exception as error:  # noqa: BLE001 - handed to the threads whose objects they are
            for ticket in batch:
                ticket.state, ticket.error = None, error

    def _write(self, records: Engine, batch: Sequence[_Ticket]) -> None:
        known, touched = dict[tuple[str, str], tuple[str, str]](), dict[str, None]()
        with writing(records) as connection:
            hold_files(connection, alone=False)
            for ticket in batch:
                ticket.state, ticket.error = None, None
                try:
                    self._one(connection, ticket, known, touched)
                except RefusedInstanceError as error:  # raised before anything of it was written
                    ticket.error = error
            for study in sorted(touched):  # in one order, so that two processes cannot wait for each other
                connection.execute(_TOUCH, {"this": study, "last_at": schema.now(), "state": "receiving"})
        self._known.update(known)
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    def _one(
        self,
        connection: Connection,
        ticket: _Ticket,
        known: dict[tuple[str, str], tuple[str, str]],
        touched: dict[str, None],
    ) -> None:
        entry, head = ticket.entry, ticket.entry.head
        if not self._files.has(entry.stored.sha256):
            raise NoRoomError("The object was swept before it was entered; send it again.")
        names = (head.study_uid, head.series_uid)
        rows = None if entry.sealed else known.get(names) or self._known.get(names)
        if rows is None:  # nothing may be made for an object that is refused
            before = _content(connection, head.instance_uid)
            if before is not None:
                ticket.state = _again(before, entry)
                return
            if is_ours(connection, head.instance_uid):
                ticket.state = "again"
                return
            rows = _rows(connection, entry)
        values = {
            "pacs_series_id": rows[1],
            "sop_instance_uid": head.instance_uid,
            "sop_class_uid": head.class_uid,
            "transfer_syntax_uid": head.syntax,
            "sha256": entry.stored.sha256,
            "content": entry.content,
            "size": entry.stored.size,
            "identity": entry.sealed.instance if entry.sealed else None,
        }
        insert = _INSERT_POSTGRESQL if connection.dialect.name == "postgresql" else _INSERT_SQLITE
        if connection.execute(insert, values).first() is None:
            ticket.state = _again(_content(connection, head.instance_uid), entry)
            return
        known[names], touched[rows[0]], ticket.state = rows, None, "kept"


def _in_order(ticket: _Ticket) -> tuple[str, str, str]:
    """Every process inserts in this order: none waits for another that waits for it."""
    head = ticket.entry.head
    return head.study_uid, head.series_uid, head.instance_uid


class _Ticket:
    """What a thread waits for."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.state: State | None = None  # None: not on the disk
        self.error: Exception | None = None
        self.done = False


def _again(before: str | None, entry: Entry) -> State:
    if before != entry.content:
        raise RefusedInstanceError(DUPLICATE, "Another object came under this SOP Instance UID before.")
    return "again"


def _content(connection: Connection, uid: str) -> str | None:
    there = schema.pacs_instances.c
    return connection.execute(select(there.content).where(there.sop_instance_uid == uid)).scalar()


def _rows(connection: Connection, entry: Entry) -> tuple[str, str]:
    """The rows of an object's study and series, made where there are none."""
    head, sealed, source = entry.head, entry.sealed, entry.source[:LONGEST_SOURCE]
    studies, series = schema.pacs_studies.c, schema.pacs_series.c
    insert_if_new(
        connection,
        schema.pacs_studies,
        study_uid=head.study_uid,
        source=source,
        description=head.study_description,
        study_date=head.study_date,
        accession_number=head.accession_number,
        identity=sealed.study if sealed else None,
    )
    study = connection.execute(select(studies.id).where(studies.study_uid == head.study_uid)).scalar_one()
    if sealed is not None:  # a study that others sent under its stand-ins before is known from now on
        unknown = (studies.id == study, studies.identity.is_(None))
        connection.execute(update(schema.pacs_studies).where(*unknown).values(identity=sealed.study))
    insert_if_new(
        connection,
        schema.pacs_series,
        pacs_study_id=study,
        series_uid=head.series_uid,
        source=source,
        modality=head.modality,
        body_part=head.body_part,
        description=head.series_description,
        identity=sealed.series if sealed else None,
    )
    these = (series.pacs_study_id == study, series.series_uid == head.series_uid)
    return study, connection.execute(select(series.id).where(*these)).scalar_one()
