"""When a study is whole: it has been quiet for a while, or its series have as many instances as the rules say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, String, and_, cast, func, literal, select, update

from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Wanted
from insula.serve.pacs.identity import IdentityError, Seal, seal_of
from insula.serve.pacs.rules import Rule, Rules, read_rules
from insula.serve.pacs.series import facts_of_row
from insula.serve.pacs.settings import PacsSettings
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.patients import not_found

TAKE: Final = "pacs_take"  # the kind of job that takes a whole study into the records
_LOST: Final = {"code": "cancelled", "message": "The job that takes the study was cancelled; try it again."}
_MOST: Final = 200  # studies of one round
MOST_ATTEMPTS: Final = 25  # a study that the node was killed over a few times, and innocent of it, is not given up


def watch(service: Service, settings: PacsSettings, stop: threading.Event) -> None:
    """Look for whole studies until told to stop, several times in the quiet time and at least every second.

    While the node did not run nothing could come in, so the quiet time begins anew when it starts.
    """
    rules, seal, started = read_rules(settings.rules), seal_of(settings), schema.now()
    quiet = timedelta(seconds=settings.quiet_seconds)
    while not stop.wait(min(1.0, settings.quiet_seconds / 4)):
        round_of(service, rules, quiet, started, seal=seal)


def round_of(
    service: Service,
    rules: Rules,
    quiet: timedelta,
    started: datetime,
    clock: Callable[[], datetime] = schema.now,
    seal: Seal | None = None,
) -> int:
    """One look: whole studies become jobs, studies whose job failed say so; how many studies changed."""
    at = clock()
    with reading(service.records) as connection:
        found = _quiet(connection, at - quiet) if started <= at - quiet else []
        known = {row.id for row in found}
        found += [row for row in _counted(connection, rules, at - quiet, seal) if row.id not in known]
        fallen = connection.execute(_fallen()).all()
    changed = 0
    for row in found:
        with writing(service.records) as connection:
            changed += make_whole(connection, row.id, row.generation, at, row.last_at)
    for row in fallen:
        with writing(service.records) as connection:
            changed += _fail(service, connection, row)
    return changed


def make_whole(
    connection: Connection,
    pacs_study: str,
    generation: int,
    at: datetime,
    last_at: datetime | None = None,
    same_patient: bool = False,
) -> bool:
    """Put the job that takes a study; False where objects came, or another process did it, since it was looked at.

    last_at: of the study that still comes in, None for one that is tried again. same_patient: as for `retry`.
    """
    studies = schema.pacs_studies
    coming = studies.c.state == "receiving" if last_at else studies.c.state.not_in(("receiving", "whole"))
    these = [studies.c.id == pacs_study, studies.c.generation == generation, coming]
    these += [studies.c.last_at == last_at] if last_at else []
    values: dict[str, Any] = {"state": "whole", "generation": generation + 1, "error": None}
    if connection.execute(update(studies).where(*these).values(values)).rowcount != 1:
        return False
    content = {"pacs_study": pacs_study, "generation": generation + 1}
    content |= {"same_patient": True} if same_patient else {}
    key = f"pacs-take-{pacs_study}-{generation + 1}"
    queue.put(connection, Wanted(TAKE, content, key, most_attempts=MOST_ATTEMPTS), at)
    return True


def retry(connection: Connection, pacs_study: str, at: datetime, same_patient: bool = False) -> None:
    """Take a study once more, by the rules and models as they are now; what was made of it before is not made again.

    same_patient: somebody says that it is the patient who lies under that number, though headers say otherwise.
    Raises RequestError 404 without such a study, 409 for one that still comes in or waits to be taken.
    """
    studies = schema.pacs_studies.c
    row = connection.execute(select(studies.generation, studies.state).where(studies.id == pacs_study)).first()
    if row is None:
        raise not_found("received study")
    if not make_whole(connection, pacs_study, row.generation, at, same_patient=same_patient):
        raise RequestError(
            409, "pacs_state", f"The study is {row.state}; wait until it was taken, or could not be taken."
        )


def _quiet(connection: Connection, before: datetime) -> list[Row[Any]]:
    studies = schema.pacs_studies.c
    rows = select(studies.id, studies.generation, studies.last_at)
    these = (studies.state == "receiving", studies.last_at <= before)
    return list(connection.execute(rows.where(*these).order_by(studies.last_at).limit(_MOST)))


def _counted(connection: Connection, rules: Rules, before: datetime, seal: Seal | None) -> list[Row[Any]]:
    """Studies that still come in, of which one series at least has its number and no other is still coming."""
    if all(rule.instances is None for rule in rules.rules):
        return []
    studies, series, instances = schema.pacs_studies, schema.pacs_series, schema.pacs_instances
    counts = (func.count().label("objects"), func.max(instances.c.created_at).label("last"))
    of_series = (
        select(instances.c.pacs_series_id, *counts)
        .join(series, instances.c.pacs_series_id == series.c.id)
        .join(studies, series.c.pacs_study_id == studies.c.id)
        .where(studies.c.state == "receiving")
        .group_by(instances.c.pacs_series_id)
        .subquery()
    )
    rows: Select[Any] = (
        select(
            studies.c.id,
            studies.c.generation,
            studies.c.last_at,
            studies.c.description.label("study_description"),
            *(series.c[name] for name in ("series_uid", "source", "modality", "body_part", "description", "identity")),
            of_series.c.objects,
            of_series.c.last,
        )
        .join(series, series.c.id == of_series.c.pacs_series_id)
        .join(studies, studies.c.id == series.c.pacs_study_id)
    )
    found: dict[str, Row[Any]] = {}
    waiting: set[str] = set()
    for row in connection.execute(rows):
        rule = _rule_of(rules, row, seal)
        if rule is not None and rule.instances is not None and row.objects >= rule.instances:
            found[row.id] = row
        elif row.last > before:
            waiting.add(row.id)
    return [row for name, row in found.items() if name not in waiting]


def _rule_of(rules: Rules, row: Row[Any], seal: Seal | None) -> Rule | None:
    try:
        return rules.first(facts_of_row(row, seal))
    except IdentityError:  # its job tells of it, once the study is quiet
        return None


def _fallen() -> Any:
    """Whole studies whose job ended and did not take them."""
    studies, jobs = schema.pacs_studies, schema.jobs
    key: ColumnElement[str] = literal("pacs-take-") + studies.c.id + "-" + cast(studies.c.generation, String)
    ended = and_(jobs.c.unique_key == key, jobs.c.state.in_(("failed", "dead", "cancelled")))
    columns = (studies.c.id, studies.c.generation, studies.c.source, jobs.c.error, jobs.c.state)
    return select(*columns).join(jobs, ended).where(studies.c.state == "whole").limit(_MOST)


def _fail(service: Service, connection: Connection, row: Row[Any]) -> bool:
    error = dict(row.error) if row.error and row.state != "cancelled" else dict(_LOST)
    studies = schema.pacs_studies
    these = (studies.c.id == row.id, studies.c.generation == row.generation, studies.c.state == "whole")
    if connection.execute(update(studies).where(*these).values(state="failed", error=error)).rowcount != 1:
        return False
    service.tell(connection, f"pacs:{row.source}", "pacs.take", row.id, {"code": error["code"]}, "failed")
    return True
