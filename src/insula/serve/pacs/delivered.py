"""Whether the answers about studies have reached the machines that they were to go to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, func, select

from insula.serve.pacs.sent import SEND
from insula.serve.store import schema

State = Literal["sent", "waiting", "running", "again", "failed"]
TROUBLED: Final = ("again", "failed")
_OPEN: Final = ("waiting", "running", "failed", "dead")


@dataclass(frozen=True)
class Delivery:
    """How far the newest sending of a model's answers about a study is at one peer.

    state: `again` where it waits for another try after `attempts`, `failed` where it was given up. at: when it was sent
    or asked for. error: `code` and `message` of the last attempt.
    """

    peer: str
    model: str
    state: State
    at: datetime
    attempts: int = 0
    error: Mapping[str, Any] | None = None


def of_studies(connection: Connection, study_ids: Collection[str]) -> dict[str, tuple[Delivery, ...]]:
    """The deliveries about studies of the records, by study, peers in their order; a study without any is left out.

    What was delivered since a sending was asked for takes its place, and a later sending that of an earlier one.
    """
    made, done, jobs = schema.predictions.c, schema.pacs_deliveries.c, schema.jobs.c
    rows = connection.execute(select(made.id, made.study_id, made.model_name).where(made.study_id.in_(study_ids)))
    predictions = {row.id: (str(row.study_id), str(row.model_name)) for row in rows}
    found: list[tuple[str, Delivery]] = []
    columns = select(made.study_id, made.model_name, done.peer, done.created_at)
    joined = columns.join(schema.predictions, done.prediction_id == made.id).where(made.study_id.in_(study_ids))
    for study, model, peer, at in connection.execute(joined.order_by(done.seq)):
        found.append((study, Delivery(peer, model, "sent", at)))
    these = (jobs.study_id.in_(study_ids), jobs.kind == SEND, jobs.state.in_(_OPEN))
    for job in connection.execute(select(schema.jobs).where(*these).order_by(jobs.seq)):
        study, model = predictions.get(job.payload["prediction"], (job.study_id, ""))
        found.append((study, _of_job(job, model)))
    last: dict[tuple[str, str, str], Delivery] = {}
    for study, one in sorted(found, key=lambda pair: pair[1].at):
        last[study, one.peer, one.model] = one
    by_study: dict[str, list[Delivery]] = {}
    for (study, _, _), one in sorted(last.items()):
        by_study.setdefault(study, []).append(one)
    return {study: tuple(some) for study, some in by_study.items()}


def troubled(connection: Connection, limit: int = 20) -> list[tuple[str, Delivery]]:
    """Sendings that wait for another try or were given up, each with its study's id, the newest first."""
    jobs = schema.jobs.c
    these = (jobs.kind == SEND, jobs.state.in_(_OPEN), jobs.error.is_not(None))
    rows = connection.execute(select(schema.jobs).where(*these).order_by(jobs.seq.desc()).limit(10 * limit))
    found = [(str(row.study_id), _of_job(row, "")) for row in rows]
    return [(study, one) for study, one in found if one.state in TROUBLED][:limit]


def counts(connection: Connection) -> dict[State, int]:
    """How many sendings are in which state, of all that there are; `sent`: deliveries."""
    jobs = schema.jobs.c
    tried = (jobs.attempts > 0).label("tried")
    rows = select(jobs.state, tried, func.count()).where(jobs.kind == SEND, jobs.state.in_(_OPEN))
    found: dict[State, int] = dict.fromkeys(("sent", "waiting", "running", "again", "failed"), 0)
    found["sent"] = int(connection.execute(select(func.count()).select_from(schema.pacs_deliveries)).scalar_one())
    for name, before, count in connection.execute(rows.group_by(jobs.state, tried)):
        found[_state(name, bool(before))] += int(count)
    return found


def _of_job(job: Any, model: str) -> Delivery:
    state = _state(job.state, job.attempts > 0)
    return Delivery(str(job.payload["peer"]), model, state, job.created_at, job.attempts, job.error)


def _state(job: str, tried: bool) -> State:
    if job == "waiting":
        return "again" if tried else "waiting"
    return "running" if job == "running" else "failed"
