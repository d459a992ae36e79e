"""The work items that the node has claimed, in the records, so that a node that was killed goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, delete, select, update

from insula.serve.store import schema
from insula.serve.store.patients import insert_if_new

Step = Literal["claiming", "fetching", "waiting", "sending", "completing", "cancelling"]
_table: Final = schema.workitems_taken


@dataclass(frozen=True)
class Taken:
    """One work item that the node is at. uid, transaction_uid: as its worklist knows it. created_at: since when.

    detail: by step: `pacs_studies` that its input became, `jobs` that predict, `sends` that send, `place` where the
    results are, `reason` for which it is given up, `told` of the progress.
    """

    id: str
    peer: str
    uid: str
    transaction_uid: str
    step: Step
    detail: Mapping[str, Any]
    created_at: datetime


def add(connection: Connection, peer: str, uid: str, transaction: str) -> Taken | None:
    """Note a work item before it is claimed, so that its transaction UID is never lost; None where it is noted."""
    values = {"peer": peer, "uid": uid, "transaction_uid": transaction, "step": "claiming", "detail": {}}
    name = schema.new_id()
    insert_if_new(connection, _table, id=name, **values)
    return next((one for one in all_of(connection, peer) if one.id == name), None)


def all_of(connection: Connection, peer: str) -> list[Taken]:
    """Those of a peer, the oldest first."""
    wanted = select(*(_table.c[name] for name in Taken.__dataclass_fields__)).where(_table.c.peer == peer)
    return [Taken(*row) for row in connection.execute(wanted.order_by(_table.c.seq))]


def keep(connection: Connection, one: Taken, step: Step, **more: Any) -> Taken:
    """Write how far it is."""
    detail = {**one.detail, **more}
    connection.execute(update(_table).where(_table.c.id == one.id).values(step=step, detail=detail))
    return Taken(one.id, one.peer, one.uid, one.transaction_uid, step, detail, one.created_at)


def drop(connection: Connection, one: Taken) -> None:
    """Leave it: it has ended, or is somebody else's."""
    connection.execute(delete(_table).where(_table.c.id == one.id))
