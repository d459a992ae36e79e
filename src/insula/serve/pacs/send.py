"""The job that sends what was made of a prediction to one peer: as objects, as a message, or as a resource."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from pydicom.uid import UID
from sqlalchemy import Connection, insert

from insula.core import scratch
from insula.report.case.fhir import case_fhir
from insula.report.case.hl7 import case_oru
from insula.report.dicom.result import Object
from insula.serve.faults import RequestError
from insula.serve.jobs.queue import Job
from insula.serve.jobs.worker import Cancelled, GivenUpError, Handler, Progress, Write
from insula.serve.pacs.gathered import gather, newest
from insula.serve.pacs.identity import seal_of
from insula.serve.pacs.messages import named_report, order_of, paper
from insula.serve.pacs.objects import Kept, objects_of
from insula.serve.pacs.ours import sent_as
from insula.serve.pacs.outcome import Outcome, ready
from insula.serve.pacs.peer_errors import PartlyDoneError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.received import DUPLICATE
from insula.serve.pacs.reidentify import Identity, read_identity, reidentify
from insula.serve.pacs.rest import Rest
from insula.serve.pacs.sent import SEND
from insula.serve.pacs.settings import PacsSettings, find_peer
from insula.serve.pacs.silent import silent
from insula.serve.pacs.superseded import MESSAGES, to_send
from insula.serve.people import user
from insula.serve.service import Service
from insula.serve.store import predictions, schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import now

KIND: Final = SEND
_LATER: Final = (0x0110, 0x0213)  # PS3.7 Annex C: processing failure, resource limitation
_NO_ROOM: Final = 0xA700  # PS3.4 Annex B: out of resources, with any last two digits


@dataclass(frozen=True)
class _Sending:
    """One job at work. job: its id. kinds: those that are still to be sent.

    review_id: the newest form of the review that it is to tell of.
    """

    job: str
    service: Service
    settings: PacsSettings
    peer: Peer
    prediction: str
    kinds: tuple[Object, ...]
    review_id: str | None


def handler(service: Service, settings: PacsSettings) -> Handler:
    """The handler of these jobs. A peer that is down or full is tried again; what it refuses for good fails."""
    rest = Rest()

    def send(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        peer = find_peer(settings, str(job.payload["peer"]))
        prediction = str(job.payload["prediction"])
        with reading(service.records) as connection:
            stored = predictions.get(connection, prediction, None)
            review = newest(connection, stored.study_id, job.payload.get("review"))
            kinds = to_send(connection, job, stored, peer, review)
        if not kinds:
            return lambda _: {"objects": 0, "superseded": True}
        this = _Sending(job.id, service, settings, peer, prediction, kinds, review)
        report(0.1, "making what is sent")
        with rest.asking(peer.name), silent():
            count = _objects(this, report, cancelled) if peer.kind not in MESSAGES else _message(this)

        def write(connection: Connection) -> Mapping[str, int]:
            said = {"prediction_id": prediction, "review_id": review, "peer": peer.name, "objects": count}
            connection.execute(insert(schema.pacs_deliveries).values(said))
            actor = user.find(connection, job.created_by).name if job.created_by else "pacs"
            detail = {"peer": peer.name, "objects": count, "review": review}
            service.tell(connection, actor, "pacs.send", prediction, detail)
            return {"objects": count}

        return write

    return send


def _objects(this: _Sending, report: Progress, cancelled: Cancelled) -> int:
    """Send the objects of a prediction by C-STORE or STOW-RS; how many the peer has now."""
    from insula.serve.pacs import dimse_store, web_client

    kept = objects_of(this.service, this.prediction, this.kinds, this.review_id)
    identity = _identity(this)
    with scratch.folder() as name:
        files = [_put(this, one, Path(name, f"{number:03d}.dcm"), identity) for number, one in enumerate(kept)]
        report(0.5, "sending")
        store = dimse_store.store if this.peer.kind == "dicom" else web_client.store
        outcomes = store(this.settings, this.peer, [ready(one) for one in files], None, cancelled) if files else []
    if len(outcomes) < len(kept) and cancelled():
        raise GivenUpError
    check(this.peer, len(kept), outcomes)
    return len(outcomes)


def check(peer: Peer, count: int, outcomes: Sequence[Outcome]) -> None:
    """Raise where a peer did not take all of so many objects.

    What it has under that UID already is what was sent before. PartlyDoneError where another try may mend it,
    RequestError 422 where it refuses an object for good.
    """
    bad = [one for one in outcomes if not one.taken and one.status != DUPLICATE]
    if not bad and len(outcomes) == count:
        return
    why = "".join(f" {UID(one.ready.sop_class_uid).name}: status 0x{one.status:04X}." for one in bad[:3])
    said = f"'{peer.name}' took {len(outcomes) - len(bad)} of {count} objects.{why} See its log."
    if any(one.status not in _LATER and one.status & 0xFF00 != _NO_ROOM for one in bad):
        raise RequestError(422, "object_refused", said)
    raise PartlyDoneError(said)


def _put(this: _Sending, kept: Kept, path: Path, identity: Identity | None) -> Path:
    """One object as it is sent: as it is stored, or with the true patient in it."""
    this.service.files.fetch(kept.sha256, path)
    if identity is not None:
        (true,) = reidentify((pydicom.dcmread(path),), identity)
        with writing(this.service.records) as connection:  # first: a peer may send it back at once
            sent_as(connection, kept.sop_instance_uid, str(true.SOPInstanceUID))
        if kept.kind == "pdf":
            document = _paper(this, identity)
            true.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
            true.EncapsulatedDocumentLength = len(document)
        true.save_as(path, enforce_file_format=True)
    return path


def _paper(this: _Sending, identity: Identity) -> bytes:
    with reading(this.service.records) as connection:
        gathered = gather(connection, this.service, this.prediction, this.review_id, pictures=True)
    return paper(named_report(gathered, order_of(this.service, gathered, identity)))


def _message(this: _Sending) -> int:
    """Send the report as an HL7 message or a FHIR resource, which name the patient as the study does."""
    from insula.serve.pacs import fhir_out, hl7

    on_paper = "pdf" in this.kinds
    with reading(this.service.records) as connection:
        gathered = gather(connection, this.service, this.prediction, this.review_id, pictures=on_paper)
    order = order_of(this.service, gathered, _identity(this))
    report = named_report(gathered, order)
    pdf = paper(report) if on_paper else None
    if this.peer.kind == "fhir":
        fhir_out.deliver(this.settings, this.peer, case_fhir(report, pdf), order)
    else:
        if not order.patient_id:
            raise RequestError(
                409,
                "no_patient_id",
                f"The study has no patient number, without which '{this.peer.name}' cannot file a message (PID-3). "
                "Correct the study's header at its source and send it anew, or send the result to a DICOM peer.",
            )
        control = control_number(this.job, this.kinds, this.review_id)
        message = case_oru(report, order, control, now(), this.peer.name.upper(), pdf)
        hl7.deliver(this.settings, this.peer, message, control)
    return 1


def control_number(job: str, kinds: Sequence[Object], review_id: str | None) -> str:
    """The number of a message (MSH-10): the same for each try, so that a receiver can tell that it has it.

    What is asked for later has another one, since a receiver may pass over what it takes for a repeat.
    """
    return hashlib.sha256(f"{job}|{','.join(kinds)}|{review_id}".encode()).hexdigest()[:20]


def _identity(this: _Sending) -> Identity | None:
    with reading(this.service.records) as connection:
        study = predictions.get(connection, this.prediction, None).study_id
        return read_identity(connection, seal_of(this.settings), study)
