"""Fetching a study from a peer: into any hands, and as a job into the records, as if the peer had sent it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Connection, update

from insula.serve.jobs.queue import Job
from insula.serve.jobs.worker import Cancelled as Asked
from insula.serve.jobs.worker import GivenUpError, Handler, Progress, Write
from insula.serve.pacs.find import Cancelled, client_of
from insula.serve.pacs.peer_errors import PartlyDoneError, PeerAnswerError, PeerRefusedError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.pseudonymise import pseudonyms_of
from insula.serve.pacs.query import Query, check_uid
from insula.serve.pacs.received import NoRoomError, receive
from insula.serve.pacs.retrieved import Retrieved, Take, Told
from insula.serve.pacs.settings import PacsSettings, find_peer
from insula.serve.people import user
from insula.serve.service import Service
from insula.serve.store import schema

KIND: Final = "pacs_pull"
_NO_SUCH: Final = 404
_OTHERWISE: Final = (
    "It may send the study by itself, to an AE title that it knows (--to), or give it out by DICOMweb, as a peer of "
    "its own in INSULA_PACS_PEERS."
)


def fetch(
    settings: PacsSettings,
    peer: Peer,
    study_uid: str,
    take: Take,
    told: Told | None = None,
    cancelled: Cancelled = lambda: False,
) -> Retrieved:
    """Fetch a study by C-GET or WADO-RS. take: gets each object as a DICOM file.

    Raises UsageError for what is no UID, PeerUnreachableError, PeerRefusedError (status 404 where the peer has no such
    study), PeerAnswerError, and what take raises but for a RefusedInstanceError that is no NoRoomError, which is
    counted.
    """
    check_uid(study_uid)
    client = client_of(peer)
    try:
        found = client.get(settings, peer, study_uid, take, told, cancelled)
    except PeerRefusedError as error:
        _look(settings, peer, study_uid, error)
        if peer.kind != "dicom":
            raise
        raise PeerRefusedError(f"{error} {_OTHERWISE}", error.status) from error
    if not (found.completed or found.failed or found.refused or cancelled()):
        raise no_such(peer)
    return found


def move(settings: PacsSettings, peer: Peer, study_uid: str, to: str, told: Told | None = None) -> Retrieved:
    """Let a DICOM peer send a study to an AE title by C-MOVE. Raises as `fetch`."""
    from insula.serve.pacs import dimse

    client_of(peer)
    try:
        found = dimse.move(settings, peer, study_uid, to, told)
    except PeerRefusedError as error:
        _look(settings, peer, study_uid, error)
        raise
    if not (found.completed or found.failed):
        raise no_such(peer)
    return found


def _look(settings: PacsSettings, peer: Peer, study_uid: str, error: PeerRefusedError) -> None:
    """Say that there is no such study, where a peer refused it for that; archives tell it by many statuses."""
    if error.status == _NO_SUCH:
        raise no_such(peer) from error
    found = True
    with suppress(PeerRefusedError, PeerAnswerError):  # a peer that does not search either
        found = bool(client_of(peer).find(settings, peer, Query(study_uid=study_uid, limit=1)).studies)
    if not found:
        raise no_such(peer) from error


def no_such(peer: Peer) -> PeerRefusedError:
    """The peer has no study of that UID, or shows none."""
    return PeerRefusedError(f"'{peer.name}' has no such study, or does not show it; look it up again.", _NO_SUCH)


def source(peer: Peer) -> str:
    """What rules see as the source of what was fetched from a peer: its AE title, or its name where it has none."""
    return peer.ae_title or peer.name


def handler(service: Service, settings: PacsSettings) -> Handler:
    """The handler of these jobs, in the node: payload `peer` and `study_uid`.

    A DICOM peer that does not do C-GET, or not for all objects, is asked to send the study to the node (C-MOVE). What
    came stays, also where the rest does not come and the job is tried again.
    """

    def pull(job: Job, report: Progress, cancelled: Asked) -> Write:
        peer, study_uid = find_peer(settings, str(job.payload["peer"])), str(job.payload["study_uid"])
        pseudonyms = pseudonyms_of(settings)

        def take(data: bytes) -> object:
            return receive(service, data, source(peer), settings.max_instance_mb << 20, pseudonyms)

        def told(done: int, of: int | None) -> None:
            report(0.5 if not of else min(done / of, 1.0), f"{done} objects" + (f" of {of}" if of else ""))

        report(0.0, f"asking {peer.name}")
        try:
            found = _by_either(settings, peer, study_uid, take, told, cancelled)
        except NoRoomError as error:
            raise PartlyDoneError(f"Not all of the study has room here; it is tried again. {error}") from error
        if cancelled():
            raise GivenUpError
        if found.failed:
            raise PartlyDoneError(
                f"'{peer.name}' could not send {found.failed} objects of the study, and {found.completed} came; see "
                "its log, or pull it again."
            )
        result = {"peer": peer.name, "objects": found.completed, "refused": found.refused}
        return lambda connection: _store(service, connection, job, result)

    return pull


def _by_either(
    settings: PacsSettings, peer: Peer, study_uid: str, take: Take, told: Told, cancelled: Cancelled
) -> Retrieved:
    if peer.kind != "dicom":
        return fetch(settings, peer, study_uid, take, told, cancelled)
    try:
        found = fetch(settings, peer, study_uid, take, told, cancelled)
        if not found.failed or cancelled():
            return found
    except PeerRefusedError as error:
        if error.status == _NO_SUCH:
            raise
    return move(settings, peer, study_uid, settings.ae_title, told)


def _store(service: Service, connection: Connection, job: Job, result: Mapping[str, Any]) -> Mapping[str, Any]:
    actor = user.find(connection, job.created_by).name if job.created_by else "worker"
    service.tell(connection, actor, "pacs.pulled", job.id, result)
    # the study's true UID was needed for the asking alone; where pseudonyms are kept it may stand nowhere
    this = update(schema.jobs).where(schema.jobs.c.id == job.id)
    connection.execute(this.values(payload={"peer": job.payload["peer"]}))
    return result
