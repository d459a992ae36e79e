"""Which sendings come too late: since they were asked for, something that takes their place has reached the peer."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, select

from insula.report.dicom.result import Object
from insula.serve.jobs.queue import Job
from insula.serve.pacs.objects import REVIEWED
from insula.serve.pacs.peers import Peer
from insula.serve.store import schema
from insula.serve.store.predictions import StoredPrediction

MESSAGES: Final = ("hl7", "fhir")  # kinds of peers that are told in words, where a later word replaces the earlier


def to_send(
    connection: Connection, job: Job, prediction: StoredPrediction, peer: Peer, review_id: str | None
) -> tuple[Object, ...]:
    """The kinds of objects of a job that are still to go to its peer; () where all of it comes too late.

    A draft gives way to a later answer of the same model about the same study, and report and PDF (a message as a
    whole) to a report that has been read. What was read gives way as a message alone, and to a later answer that was
    read, too. What is asked for after these have gone is sent.
    """
    kinds: tuple[Object, ...] = tuple(job.payload["objects"])
    message = peer.kind in MESSAGES
    if (review_id is None or message) and _later(connection, job, prediction, peer, read=review_id is not None):
        return ()
    if review_id is None and _read(connection, job, prediction, peer):
        return () if message else tuple(kind for kind in kinds if kind not in REVIEWED)
    return kinds


def _later(connection: Connection, job: Job, prediction: StoredPrediction, peer: Peer, read: bool) -> bool:
    """Whether a later answer has gone to the peer since a job was put. read: count reports that were read alone."""
    made, sent, jobs = schema.predictions.c, schema.pacs_deliveries.c, schema.jobs.c
    these = [
        made.study_id == prediction.study_id,
        made.model_name == prediction.model_name,
        made.seq > prediction.seq,
        sent.peer == peer.name,
        sent.created_at >= job.created_at,
    ]
    if read:
        these.append(sent.review_id.is_not(None))
    wanted = (
        select(jobs.unique_key)
        .select_from(schema.predictions)
        .join(schema.pacs_deliveries, sent.prediction_id == made.id)
        .outerjoin(schema.jobs, jobs.id == made.job_id)
    )
    own = select(jobs.unique_key).join(schema.predictions, made.job_id == jobs.id).where(made.id == prediction.id)
    order = _order(connection.execute(own).scalar())
    return any(_order(key) in (order, "") or not order for key in connection.scalars(wanted.where(*these)))


def _order(key: str | None) -> str:
    """Which study of the network a prediction was asked for by its job's key; "" for one that a person asked for.

    Two studies of the network may have been joined to one of the records, and neither speaks for the other.
    """
    return key.split("-")[2] if key is not None and key.startswith("pacs-predict-") else ""


def _read(connection: Connection, job: Job, prediction: StoredPrediction, peer: Peer) -> bool:
    """Whether the peer has heard of a review since a job was put."""
    sent = schema.pacs_deliveries.c
    these = (sent.prediction_id == prediction.id, sent.peer == peer.name, sent.review_id.is_not(None))
    return connection.execute(select(sent.id).where(*these, sent.created_at >= job.created_at)).first() is not None
