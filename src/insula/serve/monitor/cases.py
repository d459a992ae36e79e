"""The served cases of a bundle in the order they came, each patient once, and from where on they are watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from insula.serve.store.schema import alerts, now, predictions, studies

WATCH: Final = 10_000
DRIFT: Final = "drift"
Kept = tuple[str, Mapping[str, float]]


@dataclass(frozen=True)
class Served:
    """What was kept of the cases: of the first ones after the start, and of those that are watched now.

    number: how many watches of WATCH patients were full before this one. Rows are (id of the prediction, kept).
    """

    first: tuple[Kept, ...]
    watched: tuple[Kept, ...]
    number: int


def served(connection: Connection, bundle_id: str, reference: int) -> Served:
    """The first prediction of each patient by a bundle since its watch was last started anew.

    The first `reference` patients are for comparison. The others are numbered from there, and of them the last watch,
    full or not, is read.
    """
    mine = [predictions.c.bundle_id == bundle_id]
    if (since := watched_since(connection, bundle_id)) is not None:
        mine.append(predictions.c.created_at > since)
    first = func.min(predictions.c.seq).label("seq")
    joined = predictions.join(studies, predictions.c.study_id == studies.c.id)
    seqs = sorted(
        connection.scalars(select(first).select_from(joined).where(*mine).group_by(studies.c.patient_id)).all()
    )
    later = seqs[reference:]
    number = max(0, len(later) - 1) // WATCH
    return Served(
        _rows(connection, bundle_id, seqs[:reference]),
        _rows(connection, bundle_id, later[number * WATCH :]),
        number,
    )


def watched_since(connection: Connection, bundle_id: str) -> datetime | None:
    """When the watch over a bundle was last started anew, by `start_anew`; None where it never was."""
    found: datetime | None = connection.scalar(
        select(alerts.c.closed_at)
        .where(alerts.c.kind == DRIFT, alerts.c.bundle_id == bundle_id, alerts.c.closed_at.is_not(None))
        .order_by(alerts.c.closed_at.desc())
        .limit(1)
    )
    return found


def start_anew(connection: Connection, bundle_id: str, at: datetime | None = None) -> None:
    """Close the alert of drift, or note that there was none, and watch from this instant on with new first cases."""
    closed_at = at or now()
    waiting = alerts.c.kind == DRIFT, alerts.c.bundle_id == bundle_id, alerts.c.closed_at.is_(None)
    if connection.execute(update(alerts).where(*waiting).values(closed_at=closed_at)).rowcount == 0:
        connection.execute(
            insert(alerts).values(
                kind=DRIFT,
                bundle_id=bundle_id,
                message="The watch over this model was started anew.",
                created_at=closed_at,
                closed_at=closed_at,
                sent_at=closed_at,
            )
        )


def _rows(connection: Connection, bundle_id: str, seqs: list[int]) -> tuple[Kept, ...]:
    if not seqs:
        return ()
    wanted = set(seqs)
    found = connection.execute(
        select(predictions.c.seq, predictions.c.id, predictions.c.monitored)
        .where(predictions.c.bundle_id == bundle_id, predictions.c.seq.between(seqs[0], seqs[-1]))
        .order_by(predictions.c.seq)
    )
    return tuple((row.id, row.monitored) for row in found if row.seq in wanted)
