"""Watching an Orthanc: each study that becomes stable there is fetched, each object once, across restarts.

The number of the last change that was dealt with lies in the records. The first time, watching begins with what changes
from then on; what an Orthanc has already is pulled by whoever wants it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, select, update

from insula.core.log import get
from insula.serve.pacs import state
from insula.serve.pacs.asking import keep_asking
from insula.serve.pacs.orthanc import STABLE, Instance, Orthanc, reached
from insula.serve.pacs.ours import among
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.pseudonymise import Pseudonyms, pseudonyms_of
from insula.serve.pacs.pull import source
from insula.serve.pacs.received import NoRoomError, RefusedInstanceError, receive
from insula.serve.pacs.settings import PacsSettings, find_peer
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.patients import insert_if_new

EVERY: Final = 3.0  # seconds between two questions
_AT_ONCE: Final = 500  # UIDs in one question to the database
_TRIES: Final = 5  # looks after which an object is passed over that Orthanc cannot give, so that the others come


def watch(service: Service, settings: PacsSettings, stop: threading.Event, every: float = EVERY) -> None:
    """Take in what becomes stable in the Orthanc that `settings.orthanc` names, until told to stop.

    One that does not answer is asked ever more seldom, see `keep_asking`.
    """
    if not settings.orthanc:
        stop.wait()
        return
    peer, pseudonyms = find_peer(settings, settings.orthanc), pseudonyms_of(settings)
    with reached(settings, peer) as orthanc:
        this = Round(service, settings, peer, orthanc, pseudonyms, stop, Counter())

        def ask() -> None:
            if has_room(service, settings):
                this.go()

        keep_asking(ask, stop, every, peer.name, "orthanc does not answer as it should")


def has_room(service: Service, settings: PacsSettings) -> bool:
    """Whether the node may fetch more: neither too many studies wait, nor is the disk as good as full."""
    if service.files.free() < settings.least_free_mb << 20:
        return False
    with reading(service.records) as connection:
        return state.backlog(connection) < settings.most_waiting


class Round:
    """One look at an Orthanc's changes. troubles: how often Orthanc could not give an object, by its id there."""

    def __init__(
        self,
        service: Service,
        settings: PacsSettings,
        peer: Peer,
        orthanc: Orthanc,
        pseudonyms: Pseudonyms,
        stop: threading.Event,
        troubles: Counter[str],
    ) -> None:
        self._service, self._settings, self._peer = service, settings, peer
        self._orthanc, self._pseudonyms, self._stop, self._troubles = orthanc, pseudonyms, stop, troubles

    def go(self) -> int:
        """Deal with all changes since the last look; how many studies were fetched.

        The number of a change is kept after its study is in the records. Raises as what `orthanc` asks.
        """
        newest = self._orthanc.newest()
        with reading(self._service.records) as connection:
            last = _last(connection, self._peer.name)
        if last is None:
            last = self._keep(newest)
        elif last > newest:  # another store under the old address: all of it is new
            last = self._keep(0)
        fetched = 0
        while last < newest and not self._stop.is_set():
            before, found = last, self._orthanc.since(last)
            for change in found.changes:
                if change.kind != STABLE:
                    continue
                if not has_room(self._service, self._settings) or not self._study(change.id):
                    return fetched
                fetched += 1
                last = self._keep(change.number)
            last = self._keep(max(last, found.last))
            if found.done or last <= before:
                break
        return fetched

    def _keep(self, number: int) -> int:
        with writing(self._service.records) as connection:
            return _remember(connection, self._peer.name, number)

    def _study(self, name: str) -> bool:
        """Fetch what is not here of a study; False where it was told to stop in between, or there is no room."""
        listed = self._orthanc.instances(name) or ()
        here = self._here([one.sop_instance_uid for one in listed])
        kept = gone = refused = 0
        for one in listed:
            if self._stop.is_set():
                return False
            if one.sop_instance_uid in here:
                continue
            data = self._file(one)
            if data is None:
                gone += 1
                continue
            try:
                receive(self._service, data, source(self._peer), self._settings.max_instance_mb << 20, self._pseudonyms)
                kept += 1
            except NoRoomError as error:  # the change is looked at again
                get("pacs").warning("no room for a study from orthanc", peer=self._peer.name, why=str(error))
                return False
            except RefusedInstanceError:
                refused += 1
        get("pacs").info("study from orthanc", peer=self._peer.name, kept=kept, gone=gone, refused=refused)
        return True

    def _file(self, one: Instance) -> bytes | None:
        """The object's file; None for one that is gone, or that Orthanc could not give in _TRIES looks."""
        try:
            return self._orthanc.file(one.id, self._settings.max_instance_mb << 20)
        except (PeerRefusedError, PeerAnswerError):
            self._troubles[one.id] += 1
            if self._troubles[one.id] < _TRIES:
                raise
            del self._troubles[one.id]
            return None

    def _here(self, uids: Collection[str]) -> set[str]:
        """Which of these objects are in the records, received or made here."""
        names = {hidden: uid for uid in uids for hidden in self._pseudonyms.names(uid)}
        found: set[str] = set()
        with reading(self._service.records) as connection:
            asked = sorted(names)
            for start in range(0, len(asked), _AT_ONCE):
                these = asked[start : start + _AT_ONCE]
                uid = schema.pacs_instances.c.sop_instance_uid
                found |= set(connection.execute(select(uid).where(uid.in_(these))).scalars())
                found |= among(connection, these)
        return {names[one] for one in found}


def _last(connection: Connection, peer: str) -> int | None:
    """The number of the change that was dealt with last; None where none ever was."""
    watched = schema.pacs_watched.c
    found = connection.execute(select(watched.last).where(watched.peer == peer)).scalar()
    return None if found is None else int(found)


def _remember(connection: Connection, peer: str, number: int) -> int:
    table = schema.pacs_watched
    insert_if_new(connection, table, peer=peer, last=number)
    connection.execute(update(table).where(table.c.peer == peer).values(last=number))
    return number
