"""Alerts in the records: opened once while something is wrong, closed when it is over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite

from insula.serve.monitor.cases import DRIFT
from insula.serve.monitor.rules import Alarm, Kind
from insula.serve.store.paging import Page, checked_limit, paged
from insula.serve.store.schema import alerts, new_id


@dataclass(frozen=True)
class Alert:
    """One alert of the records, with nothing that names a patient or a person."""

    seq: int
    id: str
    kind: str
    bundle_id: str
    message: str
    detail: Mapping[str, Any]
    opened_at: datetime
    sent_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True)
class Changes:
    """What a look changed: alerts that were opened, and that were closed."""

    opened: tuple[Alert, ...]
    closed: tuple[Alert, ...]


def settle(
    connection: Connection, looked: Collection[tuple[Kind, str]], found: Collection[Alarm], at: datetime
) -> Changes:
    """Open an alert for each alarm that has none open, and close those of what was looked at and is well again.

    looked: kinds and bundles that the rules were asked about; others are left as they are. An alert of drift stays open
    until somebody starts the watch anew (`cases.start_anew`). Two processes that find the same open one alert.
    """
    opened = [alert for alarm in found if (alert := _open(connection, alarm, at)) is not None]
    wrong = {(alarm.kind, alarm.bundle_id) for alarm in found}
    closed: list[Alert] = []
    for kind, bundle_id in looked:
        if kind == DRIFT or (kind, bundle_id) in wrong:
            continue
        mine = alerts.c.kind == kind, alerts.c.bundle_id == bundle_id, alerts.c.closed_at.is_(None)
        rows = connection.execute(update(alerts).where(*mine).values(closed_at=at).returning(alerts))
        closed += [_alert(row) for row in rows]
    return Changes(tuple(opened), tuple(closed))


def listed(connection: Connection, open_only: bool = False, before: int | None = None, limit: int = 50) -> Page[Alert]:
    """Alerts, the newest first; before: of the page before. Raises RequestError for a limit that is none."""
    query = select(alerts).order_by(alerts.c.seq.desc()).limit(checked_limit(limit) + 1)
    if open_only:
        query = query.where(alerts.c.closed_at.is_(None))
    if before is not None:
        query = query.where(alerts.c.seq < before)
    rows = [_alert(row) for row in connection.execute(query)]
    return paged(rows, [alert.seq for alert in rows], limit)


def found(connection: Connection, alert_id: str) -> Alert | None:
    """One alert, None where there is no such."""
    row = connection.execute(select(alerts).where(alerts.c.id == alert_id)).one_or_none()
    return None if row is None else _alert(row)


def sent(connection: Connection, alert_id: str, at: datetime) -> None:
    """Note that an alert reached its receiver."""
    connection.execute(update(alerts).where(alerts.c.id == alert_id).values(sent_at=at))


def _open(connection: Connection, alarm: Alarm, at: datetime) -> Alert | None:
    row = {
        "id": new_id(),
        "created_at": at,
        "kind": alarm.kind,
        "bundle_id": alarm.bundle_id,
        "message": alarm.message,
        "detail": dict(alarm.detail),
    }
    insert: Any = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(alerts)
    made = connection.execute(insert.values(row).on_conflict_do_nothing().returning(alerts)).one_or_none()
    return None if made is None else _alert(made)


def _alert(row: Row[Any]) -> Alert:
    return Alert(
        row.seq, row.id, row.kind, row.bundle_id, row.message, row.detail, row.created_at, row.sent_at, row.closed_at
    )
