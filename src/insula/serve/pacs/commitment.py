"""Storage commitment (PS3.4, Annex J): whoever sent objects asks whether they are kept, and is told so later.

What is committed to: a rule takes the object's series, and it is on the disk with the bytes that came when the answer
is given. What is kept under pseudonyms alone is not, nor what goes after INSULA_PACS_KEEP_UNROUTED_DAYS as no rule
takes it. The node is no archive.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from sqlalchemy import Connection, Select, select, update
from sqlalchemy.exc import SQLAlchemyError

from insula.core.log import get
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Job, Wanted
from insula.serve.jobs.worker import Cancelled, GivenUpError, Handler, Progress, Write
from insula.serve.pacs.heads import is_uid
from insula.serve.pacs.identity import needed
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.pseudonymise import Pseudonyms, place, pseudonyms_of
from insula.serve.pacs.series import facts_of_row
from insula.serve.pacs.server import commands, units
from insula.serve.pacs.server.agreed import COMMITMENT
from insula.serve.pacs.server.commands import Command
from insula.serve.pacs.server.session import Answer, Begin, Work
from insula.serve.pacs.server.units import UnitError
from insula.serve.pacs.settings import PacsSettings, find_peer
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.errors import RecordsError
from insula.serve.store.schema import now

KIND: Final = "pacs_commit"
INSTANCE: Final = "1.2.840.10008.1.20.1.1"  # the well-known instance of the push model (J.3)
_ASK: Final = 1  # the action type
_ALL, _NOT_ALL = 1, 2  # the event types
_MOST_BYTES: Final = 8 << 20
_MOST_OBJECTS: Final = 50_000
_ITEM: Final = b"\xfe\xff\x00\xe0"  # how an item begins, in the transfer syntaxes that are agreed on for it
_ATTEMPTS: Final = 30
# failure reasons (PS3.3, C.14.1.1)
_NOT_KEPT, _UNKNOWN, _OTHER_CLASS = 0x0110, 0x0112, 0x0119
Reference = tuple[str, str]  # class and instance


class _Asking:
    """The work on one request."""

    def __init__(
        self,
        service: Service,
        settings: PacsSettings,
        pseudonyms: Pseudonyms,
        command: Command,
        about: str,
        caller: str,
    ) -> None:
        self._service, self._settings, self._command = service, settings, command
        self._pseudonyms = pseudonyms
        self._about, self._caller = about, caller
        self._raw = bytearray()
        self.syntax = ""

    def write(self, part: memoryview) -> None:
        self._raw += part
        if len(self._raw) > _MOST_BYTES:
            raise UnitError(units.NOT_SAID, "a request for commitment that is too long")

    def done(self) -> Answer:
        if self._about != COMMITMENT or (self._command.class_uid, self._command.object_uid) != (COMMITMENT, INSTANCE):
            return commands.NOT_HERE, "There is no such object to act on."
        if self._command.action != _ASK:
            return commands.NO_SUCH_ACTION, ""
        peer = _peer_of(self._settings, self._caller)
        if peer is None:
            return commands.NOT_AUTHORISED, "No peer has the AE title that asks."
        try:
            transaction, wanted = _read(bytes(self._raw), self.syntax)
        except Exception:  # noqa: BLE001 - a parser of hostile bytes raises many kinds
            return commands.BAD_ARGUMENT, "The request names no transaction, or not its objects."
        payload = {"transaction": transaction, "peer": peer.name, **_packed(self._pseudonyms, transaction, wanted)}
        key = f"pacs-commit-{peer.name}-{transaction}"
        try:
            with writing(self._service.records) as connection:
                queue.put(connection, Wanted(KIND, payload, key, most_attempts=_ATTEMPTS), now())
        except SQLAlchemyError as error:
            get("pacs").warning("commitment not put", error=type(error).__name__)
            return commands.FAILED, "The records cannot be written."
        return commands.DONE, ""


def asking(service: Service, settings: PacsSettings) -> Begin:
    """What begins the work on a request for commitment: it becomes a job, and is answered later."""
    pseudonyms = pseudonyms_of(settings)

    @contextmanager
    def begin(command: Command, about: str, syntax: str, caller: str) -> Iterator[Work]:
        work = _Asking(service, settings, pseudonyms, command, about, caller)
        work.syntax = syntax
        yield work

    return begin


def handler(service: Service, settings: PacsSettings) -> Handler:
    """The handler of these jobs: looks at each object's bytes and tells the peer; one that is down is tried again."""
    pseudonyms = pseudonyms_of(settings)

    def commit(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        peer = find_peer(settings, str(job.payload["peer"]))
        wanted = _unpacked(pseudonyms, job.payload)
        failed: dict[Reference, int] = {}
        for number, one in enumerate(wanted):
            if cancelled():
                raise GivenUpError
            report(0.8 * number / len(wanted), "looking at the objects")
            if reason := _failure(service, one, pseudonyms):
                failed[one] = reason
        report(0.9, "telling the peer")
        tell(settings, peer, str(job.payload["transaction"]), wanted, failed)

        def write(connection: Connection) -> Mapping[str, int]:
            counts = {"kept": len(wanted) - len(failed), "failed": len(failed)}
            this = update(schema.jobs).where(schema.jobs.c.id == job.id)
            connection.execute(this.values(payload={"peer": peer.name}))  # whose objects they were is forgotten
            service.tell(connection, f"pacs:{peer.ae_title}", "pacs.commit", job.id, counts)
            return counts

        return write

    return commit


def tell(
    settings: PacsSettings, peer: Peer, transaction: str, wanted: Sequence[Reference], failed: Mapping[Reference, int]
) -> None:
    """Report to a peer which of the objects are kept, and why others are not (J.3.3).

    Raises PeerUnreachableError, PeerRefusedError or PeerAnswerError where it has not taken the report.
    """
    from pynetdicom.presentation import build_context, build_role

    from insula.serve.pacs.association import opened, refused, status_of

    context = build_context(COMMITMENT, [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
    role = build_role(COMMITMENT, scp_role=True)  # we are the side that provides, though it is we who call
    event = _NOT_ALL if failed else _ALL
    with opened(settings, peer, [context], [role]) as found:
        told = _told(transaction, wanted, failed)
        status, _ = found.association.send_n_event_report(told, event, COMMITMENT, INSTANCE)
        number = status_of(found, status)
        if number != commands.DONE:
            raise refused(peer, "the report of what is kept", number, lambda _: "")


def _told(transaction: str, wanted: Sequence[Reference], failed: Mapping[Reference, int]) -> Dataset:
    told = Dataset()
    told.TransactionUID = transaction
    kept = [_item(one) for one in wanted if one not in failed]
    if kept:
        told.ReferencedSOPSequence = kept
    if failed:
        told.FailedSOPSequence = [_item(one, reason) for one, reason in failed.items()]
    return told


def _item(one: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one
    if reason is not None:
        item.FailureReason = reason
    return item


def _failure(service: Service, one: Reference, pseudonyms: Pseudonyms) -> int:
    """Why an object is not kept, 0 where it is."""
    there, series, studies = schema.pacs_instances.c, schema.pacs_series, schema.pacs_studies
    found: Select[Any] = (
        select(
            there.sop_class_uid,
            there.sha256,
            there.identity.label("hidden"),
            *series.c,
            studies.c.description.label("study_description"),
        )
        .join(series, series.c.id == there.pacs_series_id)
        .join(studies, studies.c.id == series.c.pacs_study_id)
        .where(there.sop_instance_uid.in_(pseudonyms.names(one[1])))
    )
    with reading(service.records) as connection:
        row = connection.execute(found).first()
    if row is None:
        return _UNKNOWN
    if row.sop_class_uid != one[0]:
        return _OTHER_CLASS
    # who deletes an object because it is kept here gets it back as it was, and also later
    hidden = row.hidden is not None or row.identity is not None
    if hidden or pseudonyms.rules.first(facts_of_row(row, pseudonyms.seal)) is None:
        return _NOT_KEPT
    try:
        for _ in service.files.blocks(row.sha256):  # all of them are verified before the first is given
            break
    except RecordsError:
        return _NOT_KEPT
    return 0


def _packed(pseudonyms: Pseudonyms, transaction: str, wanted: Sequence[Reference]) -> dict[str, Any]:
    """The objects of a job; sealed where the rules keep UIDs as they were sent out of the records."""
    if not pseudonyms.rules.pseudonymise:
        return {"objects": [list(one) for one in wanted]}
    told = {"objects": wanted}
    return {"sealed": needed(pseudonyms.seal).close(told, place("commitment", transaction))}


def _unpacked(pseudonyms: Pseudonyms, payload: Mapping[str, Any]) -> list[Reference]:
    told: Mapping[str, Any] = payload
    if "sealed" in payload:
        told = needed(pseudonyms.seal).open(payload["sealed"], place("commitment", str(payload["transaction"])))
    return [(str(a), str(b)) for a, b in told["objects"]]


def _peer_of(settings: PacsSettings, caller: str) -> Peer | None:
    found = (one for one in settings.peer.values() if one.kind == "dicom" and one.ae_title == caller)
    return next(found, None)


def _read(raw: bytes, syntax: str) -> tuple[str, list[Reference]]:
    """The transaction and the objects of a request. Raises anything for what is none."""
    if raw.count(_ITEM) > 2 * _MOST_OBJECTS:  # pydicom makes 2 kB of each of them, however empty
        raise ValueError("more objects than one request may name")
    data = read_dataset(io.BytesIO(raw), syntax == uid.ImplicitVRLittleEndian, is_little_endian=True)
    transaction = str(data.TransactionUID)
    items: Any = data.ReferencedSOPSequence
    found = [(str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID)) for one in items]
    names = [transaction, *(name for one in found for name in one)]
    if not found or len(found) > _MOST_OBJECTS or not all(is_uid(name) for name in names):
        raise ValueError("no transaction, or not its objects")
    return transaction, list(dict.fromkeys(found))
