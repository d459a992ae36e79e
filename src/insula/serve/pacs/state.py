"""How far the node is with what it received: for back-pressure, for metrics, and for whoever looks after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select

from insula.serve.store import schema

OPEN: Final = ("receiving", "whole", "unrouted", "failed")  # states of studies that somebody or something waits for
PREDICT: Final = "predict"  # the kind of job that answers
_ACTIVE: Final = ("waiting", "running")


@dataclass(frozen=True)
class Troubled:
    """A received study that no rule takes (`unrouted`) or that could not be taken (`failed`, with `error`).

    study_date: as 20260131. It names no patient: who looks after the node need not know any.
    """

    id: str
    state: str
    source: str
    last_at: datetime
    study_date: str
    description: str
    error: Mapping[str, Any] | None


def backlog(connection: Connection) -> int:
    """How many received studies wait for an answer: those that still come in, and those yet to be taken or predicted.

    What the listener holds against `most_waiting` before it takes a new association.
    """
    studies, jobs = schema.pacs_studies.c, schema.jobs.c
    coming = select(func.count()).select_from(schema.pacs_studies).where(studies.state.in_(("receiving", "whole")))
    these = (jobs.kind == PREDICT, jobs.state.in_(_ACTIVE))
    waiting = select(func.count()).select_from(schema.jobs).where(*these)
    return int(connection.execute(coming).scalar_one()) + int(connection.execute(waiting).scalar_one())


def counts(connection: Connection) -> dict[str, int]:
    """How many studies are in each state that is not the end of all (`OPEN`)."""
    state = schema.pacs_studies.c.state
    rows = connection.execute(select(state, func.count()).where(state.in_(OPEN)).group_by(state))
    return dict.fromkeys(OPEN, 0) | {str(name): int(count) for name, count in rows}


def taken(connection: Connection) -> int:
    """How many studies are taken into the records."""
    these = schema.pacs_studies.c.state == "taken"
    return int(connection.execute(select(func.count()).select_from(schema.pacs_studies).where(these)).scalar_one())


def jobs(connection: Connection) -> dict[str, dict[str, int]]:
    """How many of the node's jobs wait, run, or were given up, by kind and state."""
    kind, state = schema.jobs.c.kind, schema.jobs.c.state
    these = (kind.like("pacs\\_%", escape="\\"), state.in_((*_ACTIVE, "failed", "dead")))
    found: dict[str, dict[str, int]] = {}
    for of, name, count in connection.execute(select(kind, state, func.count()).where(*these).group_by(kind, state)):
        found.setdefault(of, {})[name] = count
    return found


def troubled(connection: Connection, limit: int = 20) -> list[Troubled]:
    """The received studies that wait for somebody to mend something, the newest first."""
    studies = schema.pacs_studies.c
    rows = select(*(studies[name] for name in Troubled.__dataclass_fields__))
    these = rows.where(studies.state.in_(("unrouted", "failed"))).order_by(studies.last_at.desc(), studies.seq.desc())
    return [Troubled(*row) for row in connection.execute(these.limit(limit))]
