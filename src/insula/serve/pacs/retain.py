"""What nobody wanted goes after some days: received studies that came to nothing, and objects that no rule took."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, exists, select

from insula.serve.pacs.settings import PacsSettings
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.in_use import hold_files, in_use

_EVERY: Final = 6 * 3600.0  # seconds
_MOST: Final = 20  # studies whose files are deleted in one transaction
_PAGE: Final = 500  # studies that are looked through at a time


def watch(service: Service, settings: PacsSettings, stop: threading.Event) -> None:
    """Let them go when the node starts and some times a day, until told to stop."""
    while not stop.is_set():
        before = schema.now() - timedelta(days=settings.keep_unrouted_days)
        while not stop.is_set() and studies(service, before) == _MOST:
            pass
        place: int | None = 0
        while not stop.is_set() and place is not None:
            place = objects(service, before, place)
        stop.wait(_EVERY)


def studies(service: Service, before: datetime, most: int = _MOST) -> int:
    """Delete the oldest studies of which nothing came since before an instant, with their files; how many went.

    They are those that no rule takes, and those that could not be taken. A study of the records stays.
    """
    table, series, instances = schema.pacs_studies, schema.pacs_series.c, schema.pacs_instances.c
    these = (table.c.state.in_(("unrouted", "failed")), table.c.study_id.is_(None), table.c.last_at < before)
    oldest = select(table.c.id).where(*these).order_by(table.c.last_at).limit(most)
    with writing(service.records) as connection:
        hold_files(connection, alone=True)
        ids = list(connection.scalars(oldest.with_for_update()))
        if ids:
            stored = select(instances.sha256).join(schema.pacs_series, series.id == instances.pacs_series_id)
            hashes = list(connection.scalars(stored.where(series.pacs_study_id.in_(ids))))
            connection.execute(delete(table).where(table.c.id.in_(ids)))
            _gone(service, connection, hashes, len(ids))
    return len(ids)


def objects(service: Service, before: datetime, after: int = 0, page: int = _PAGE) -> int | None:
    """Delete objects that came before an instant with a study of the records and are no files of it.

    No rule took their series, or the study's files were deleted since. One page of studies is looked through, after a
    `seq`; where the next one begins, None after the last.
    """
    table, series, instances, files = schema.pacs_studies.c, schema.pacs_series.c, schema.pacs_instances, schema.files.c
    some = select(table.seq, table.id).where(table.seq > after, table.study_id.is_not(None)).order_by(table.seq)
    kept = exists().where(files.study_id == table.study_id, files.sha256 == instances.c.sha256)
    with reading(service.records) as connection:
        found = connection.execute(some.limit(page)).all()
        unwanted = (
            select(instances.c.id, instances.c.sha256)
            .join(schema.pacs_series, series.id == instances.c.pacs_series_id)
            .join(schema.pacs_studies, table.id == series.pacs_study_id)
            .where(table.id.in_([row.id for row in found]), table.state.not_in(("receiving", "whole")))
            .where(instances.c.created_at < before, ~kept)
        )
        rows = connection.execute(unwanted).all()
    if rows:
        with writing(service.records) as connection:
            hold_files(connection, alone=True)
            for start in range(0, len(rows), _PAGE):
                names = [row.id for row in rows[start : start + _PAGE]]
                connection.execute(delete(instances).where(instances.c.id.in_(names)))
            _gone(service, connection, [row.sha256 for row in rows], 0)
    return found[-1].seq if len(found) == page else None


def _gone(service: Service, connection: Connection, hashes: Iterable[str], count: int) -> None:
    """Delete the stored files that no record names any more, and tell the trail."""
    wanted = set(hashes)
    stored = sum(service.files.delete(one) for one in sorted(wanted - in_use(connection, wanted)))
    service.tell(
        connection,
        "retention",
        "pacs.let_go",
        detail={"studies": count, "objects": len(wanted), "files": stored},
    )
