"""The one way in which an object from the network gets into the records, however it was sent.

When `receive` or `taken` returns, the object is on the disk and in the database; only then may it be acknowledged.
"""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from insula.serve.pacs import file_meta, heads
from insula.serve.pacs.arrival import Arrival, arriving
from insula.serve.pacs.entered import (
    CANNOT_UNDERSTAND,
    DUPLICATE,
    NO_RESOURCES,
    NOT_ITS_CLASS,
    Entries,
    Entry,
    NoRoomError,
    RefusedInstanceError,
    Sealed,
    State,
)
from insula.serve.pacs.heads import HeadError
from insula.serve.pacs.ours import is_ours
from insula.serve.pacs.pseudonymise import NotPseudonymisedError, Pseudonyms, pseudonymise
from insula.serve.pacs.rules import SeriesFacts
from insula.serve.service import Service
from insula.serve.store.connect import reading

__all__ = [
    "CANNOT_UNDERSTAND",
    "DUPLICATE",
    "NOT_ITS_CLASS",
    "NO_RESOURCES",
    "NoRoomError",
    "Receipt",
    "RefusedInstanceError",
    "in_memory",
    "receive",
    "taken",
]
_ENTRIES: Final[WeakKeyDictionary[Engine, Entries]] = WeakKeyDictionary()
_MAKING: Final = threading.Lock()


@dataclass(frozen=True)
class Receipt:
    """What became of an object. state: `kept`, or `again` where the same one was there already."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    state: State


def receive(
    service: Service, data: bytes, source: str, most_bytes: int = 512 << 20, pseudonyms: Pseudonyms | None = None
) -> Receipt:
    """Keep one DICOM file (PS3.10). source: who sent it, an AE title, the name of a peer or of an account.

    pseudonyms: what decides which objects are stored under pseudonyms alone; the receipt has the sender's UIDs.
    Raises RefusedInstanceError for what is no DICOM object, names no valid UIDs, is too long, or comes under
    the UID of another object, and its kind NoRoomError where it may be had again later. The same object again is no
    error.
    """
    try:
        syntax, start = file_meta.split(data)
        head = heads.read(data[start : start + heads.MOST], syntax)
    except HeadError as error:
        raise RefusedInstanceError(CANNOT_UNDERSTAND, "The object is no DICOM data set with its four UIDs.") from error
    names = (head.class_uid, head.instance_uid, syntax)
    try:
        with arriving(service.files, *names, most_bytes, in_memory(pseudonyms)) as arrival:
            arrival.write(memoryview(data)[start:])
            return taken(service, arrival, source, pseudonyms)
    except OSError as error:
        raise NoRoomError(f"The object cannot be stored ({error.strerror}).") from error


def in_memory(pseudonyms: Pseudonyms | None) -> bool:
    """Whether objects are kept off the disk until it is known whether their patients may be on it."""
    return pseudonyms is not None and pseudonyms.rules.pseudonymise


def taken(service: Service, arrival: Arrival, source: str, pseudonyms: Pseudonyms | None) -> Receipt:
    """Keep an object all of whose bytes have come. Raises as `receive`, and OSError where the disk takes it not."""
    head = arrival.head()
    facts = head.facts(source)
    if pseudonyms is not None and pseudonyms.asked(facts):
        with reading(service.records) as connection:
            if is_ours(connection, head.instance_uid):  # it names nobody who is not known here already
                return Receipt(head.class_uid, head.instance_uid, head.study_uid, "again")
        entry = _pseudonymised(service, arrival.data(), facts, pseudonyms)
    else:
        data = arrival.data() if in_memory(pseudonyms) else None
        stored = arrival.settle() if data is None else service.files.put(io.BytesIO(data), len(data))
        entry = Entry(head, source, stored, stored.sha256)
    state = _entries(service).enter(service.records, entry)
    return Receipt(head.class_uid, head.instance_uid, head.study_uid, state)


def _pseudonymised(service: Service, data: bytes, facts: SeriesFacts, pseudonyms: Pseudonyms) -> Entry:
    try:
        hidden = pseudonymise(data, hashlib.sha256(data).hexdigest(), facts, pseudonyms.seal)
    except NotPseudonymisedError as error:
        raise RefusedInstanceError(CANNOT_UNDERSTAND, str(error)) from error
    syntax, start = file_meta.split(hidden.data)
    head = heads.read(hidden.data[start : start + heads.MOST], syntax)
    stored = service.files.put(io.BytesIO(hidden.data), len(hidden.data))
    sealed = Sealed(hidden.study, hidden.series, hidden.instance)
    return Entry(head, facts.source, stored, hidden.content, sealed)


def _entries(service: Service) -> Entries:
    with _MAKING:
        if service.records not in _ENTRIES:
            _ENTRIES[service.records] = Entries(service.files)
        return _ENTRIES[service.records]
