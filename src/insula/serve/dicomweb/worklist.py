"""The work items that the service keeps, in the database; each belongs to a project, whose members see it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, select, update

from insula.serve.dicomweb import ups
from insula.serve.dicomweb.match import Search
from insula.serve.dicomweb.media import element
from insula.serve.dicomweb.payload import Attributes
from insula.serve.dicomweb.ups import State
from insula.serve.faults import RequestError
from insula.serve.people.caller import Caller
from insula.serve.store import schema
from insula.serve.store.patients import insert_if_new

MOST_SCANNED: Final = 2000
_table = schema.workitems


@dataclass(frozen=True)
class Workitem:
    """One work item. id: our own name for it. attributes: without state and transaction UID, which have columns."""

    id: str
    uid: str
    project_id: str
    state: State
    attributes: Attributes
    transaction_uid: str | None

    def whole(self) -> Attributes:
        """All attributes that others see: with the state, without the transaction UID, which is a lock."""
        return dict(sorted((self.attributes | {ups.STATE: element("CS", self.state)}).items()))

    def holds(self, transaction: str) -> bool:
        """Whether a transaction UID is the one under which the work item was claimed."""
        return bool(self.transaction_uid) and hmac.compare_digest(self.transaction_uid or "", transaction)


def project_for(connection: Connection, caller: Caller, label: str) -> tuple[str, str]:
    """Id and name of the project that a new work item belongs to: the caller's only one, or the one that its worklist
    label (0074,1202) names. Raises RequestError 400 where neither says which.
    """
    projects = schema.projects.c
    mine = connection.execute(select(projects.id, projects.name).where(projects.id.in_(sorted(caller.projects)))).all()
    named = [row for row in mine if row.name == label]
    found = named or (list(mine) if len(mine) == 1 else [])
    if not found:
        raise RequestError(
            400, "which_project", "Name one of your projects as the work item's Worklist Label (0074,1202)."
        )
    return str(found[0].id), str(found[0].name)


def add(connection: Connection, uid: str, project_id: str, attributes: Attributes, at: datetime) -> str:
    """Keep a new work item; its id. Raises RequestError 409 where there is one of its UID, whoever's it is."""
    name = schema.new_id()
    plain = {tag: told for tag, told in attributes.items() if tag != ups.STATE}
    values = {"id": name, "uid": uid, "project_id": project_id, "attributes": plain, "changed_at": at, "created_at": at}
    insert_if_new(connection, _table, **values)
    if connection.execute(select(_table.c.id).where(_table.c.uid == uid)).scalar() != name:
        raise RequestError(409, "workitem_exists", "There is a work item of this UID; give each a new one.")
    return name


def get(connection: Connection, caller: Caller, uid: str, change: bool = False) -> Workitem:
    """One work item, held until the transaction ends where it is to be changed. Raises RequestError 404."""
    wanted = select(_table).where(_table.c.uid == uid, _table.c.project_id.in_(sorted(caller.projects)))
    row = connection.execute(wanted.with_for_update() if change else wanted).first()
    if row is None:
        raise RequestError(404, "not_found", "There is no work item of this UID among those of your projects.")
    return _workitem(row)


def keep(
    connection: Connection, one: Workitem, state: State, attributes: Attributes, transaction: str | None, at: datetime
) -> None:
    """Write what became of a work item that `get` holds. Raises RequestError 409 where another request came first."""
    plain = {tag: told for tag, told in attributes.items() if tag != ups.STATE}
    these = (_table.c.id == one.id, _table.c.state == one.state)
    values: dict[str, Any] = {"state": state, "attributes": plain, "transaction_uid": transaction, "changed_at": at}
    if connection.execute(update(_table).where(*these).values(values)).rowcount != 1:
        raise ups.refused(409, "The submitted request is inconsistent with the current state of the Workitem.")


def listed(connection: Connection, caller: Caller, search: Search) -> tuple[list[Workitem], bool]:
    """The caller's work items that may fit a search, the oldest first; whether there are more than MOST_SCANNED."""
    where: list[ColumnElement[bool]] = [_table.c.project_id.in_(sorted(caller.projects))]
    state, uid = search.value(ups.STATE), search.value(ups.UID)
    where += [_table.c.state == state] if state else []
    where += [_table.c.uid == uid] if uid else []
    rows = connection.execute(select(_table).where(*where).order_by(_table.c.seq).limit(MOST_SCANNED + 1)).all()
    return [_workitem(row) for row in rows[:MOST_SCANNED]], len(rows) > MOST_SCANNED


def _workitem(row: Row[Any]) -> Workitem:
    return Workitem(row.id, row.uid, row.project_id, row.state, row.attributes, row.transaction_uid)
