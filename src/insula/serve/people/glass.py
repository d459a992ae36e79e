"""Break-glass: one study of a project that is not one's own, opened for an hour, with a reason that others read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, and_, insert, select

from insula.serve.faults import RequestError
from insula.serve.people.caller import Caller
from insula.serve.store.schema import glass, new_id, studies

OPEN_FOR: Final = timedelta(hours=1)
SHORTEST: Final = 20
LONGEST: Final = 2000


@dataclass(frozen=True)
class Opening:
    """One study that somebody opened, why and until when. The reason may name a patient and goes into no log."""

    seq: int
    id: str
    user_id: str
    study_id: str
    reason: str = field(repr=False)
    created_at: datetime
    ends_at: datetime


def break_glass(connection: Connection, caller: Caller, study_id: str, reason: str, now: datetime) -> Opening:
    """Open one study to the caller for an hour; from the next request on it is seen.

    Raises RequestError 403 for who may not, 422 for a reason under 20 or over 2,000 characters, 404 for no such study,
    409 where it is seen anyway.
    """
    if not caller.may("glass.break") or caller.how == "key":
        raise RequestError(
            403, "forbidden", "Only a person who is logged in and reads studies opens one by break-glass."
        )
    said = " ".join(reason.split())
    if not SHORTEST <= len(said) <= LONGEST or "\0" in said:
        raise RequestError(
            422, "bad_reason", f"The reason has {len(said)} characters; write it in {SHORTEST} to {LONGEST}."
        )
    project_id = connection.execute(select(studies.c.project_id).where(studies.c.id == study_id)).scalar()
    if project_id is None:
        raise RequestError(404, "no_study", f"There is no study '{study_id[:40]}'.")
    if project_id in caller.projects:
        raise RequestError(409, "seen_already", "The study is of one of your own projects; open it without a reason.")
    opening_id = new_id()
    connection.execute(
        insert(glass).values(
            id=opening_id,
            user_id=caller.user_id,
            study_id=study_id,
            reason=said,
            created_at=now,
            ends_at=now + OPEN_FOR,
        )
    )
    return Opening(*connection.execute(select(*_COLUMNS).where(glass.c.id == opening_id)).one())


def opened_by(connection: Connection, user_id: str, now: datetime) -> frozenset[str]:
    """The ids of the studies that a user has open by break-glass at this instant."""
    rule = and_(glass.c.user_id == user_id, glass.c.ends_at > now)
    return frozenset(connection.execute(select(glass.c.study_id).where(rule)).scalars())


def page(
    connection: Connection, after: int = 0, limit: int = 50, user_id: str | None = None, study_id: str | None = None
) -> list[Opening]:
    """The openings that came after one, past ones too, in order, of one user or study where it is given."""
    wanted = select(*_COLUMNS).where(glass.c.seq > after).order_by(glass.c.seq).limit(limit)
    if user_id is not None:
        wanted = wanted.where(glass.c.user_id == user_id)
    if study_id is not None:
        wanted = wanted.where(glass.c.study_id == study_id)
    return [Opening(*row) for row in connection.execute(wanted)]


def newest(connection: Connection, before: int | None = None, limit: int = 50) -> list[Opening]:
    """The openings that came before one (all where it is None), the newest first."""
    wanted = select(*_COLUMNS).order_by(glass.c.seq.desc()).limit(limit)
    rows = connection.execute(wanted if before is None else wanted.where(glass.c.seq < before))
    return [Opening(*row) for row in rows]


_COLUMNS = (
    glass.c.seq,
    glass.c.id,
    glass.c.user_id,
    glass.c.study_id,
    glass.c.reason,
    glass.c.created_at,
    glass.c.ends_at,
)
