"""What of a prediction went to which peer, what is on its way, and what a peer has not taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, select

from insula.serve.store import reviews, schema

SEND: Final = "pacs_send"  # the kind of job that sends
_MOST: Final = 100  # rows of each table, the newest


@dataclass(frozen=True)
class Sent:
    """One sending. objects: how many the peer took, 0 while it has not. job: that sends or failed to, None once done.

    error: `code` and `message` of the last attempt. review_id: None as well where there is one that a reader must not
    know of yet.
    """

    peer: str
    state: Literal["sent", "waiting", "running", "failed"]
    at: datetime
    objects: int
    review_id: str | None
    job: str | None
    error: Mapping[str, Any] | None


def of_prediction(connection: Connection, study_id: str, prediction_id: str, reader_id: str | None) -> tuple[Sent, ...]:
    """All sendings of a prediction, the newest first; a cancelled one is none. reader_id: who is told of them."""
    found = [*_done(connection, prediction_id), *_not_done(connection, study_id, prediction_id)]
    if reviews.withheld(connection, [prediction_id], reader_id):
        found = [replace(one, review_id=None) for one in found]
    return tuple(sorted(found, key=lambda one: one.at, reverse=True))


def _done(connection: Connection, prediction_id: str) -> list[Sent]:
    table = schema.pacs_deliveries
    rows = connection.execute(
        select(table).where(table.c.prediction_id == prediction_id).order_by(table.c.seq.desc()).limit(_MOST)
    )
    return [Sent(row.peer, "sent", row.created_at, row.objects, row.review_id, None, None) for row in rows]


def _not_done(connection: Connection, study_id: str, prediction_id: str) -> list[Sent]:
    jobs = schema.jobs
    these = (jobs.c.study_id == study_id, jobs.c.kind == SEND, jobs.c.state.in_(tuple(_STATES)))
    rows = connection.execute(select(jobs).where(*these).order_by(jobs.c.seq.desc()).limit(_MOST))
    return [
        Sent(str(row.payload["peer"]), _STATES[row.state], row.ended_at or row.created_at, 0,
             row.payload.get("review"), row.id, row.error)
        for row in rows
        if row.payload["prediction"] == prediction_id
    ]  # fmt: skip


_STATES: Final[Mapping[str, Literal["waiting", "running", "failed"]]] = {
    "waiting": "waiting",
    "running": "running",
    "failed": "failed",
    "dead": "failed",
}
