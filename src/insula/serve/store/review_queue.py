"""What is to be read next: the cases that the model is least sure of first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, or_, select

from insula.serve.store import schema
from insula.serve.store.paging import Page, Visible, checked_limit, newest_first, paged, seen


@dataclass(frozen=True)
class Waiting:
    """A prediction that waits for a reader. entropy: in nats, None where there is no answer to be unsure of."""

    id: str
    seq: int
    study_id: str
    action: str
    label: str
    confidence: float
    entropy: float | None


@dataclass(frozen=True)
class After:
    """Where a page of the queue ended: entropy and seq of its last row."""

    entropy: float | None
    seq: int


def first(connection: Connection, visible: Visible, after: After | None = None, limit: int = 50) -> list[Waiting]:
    """The newest predictions of their studies that no review is of, shadow models aside: the highest entropy first.

    Rejected scans, which have no entropy, come last, newest first. after: the last row of the page before (`place`).
    Each project is asked by itself along its index and the answers are merged. Raises RequestError for a wrong limit.
    """
    checked_limit(limit)
    predictions = schema.predictions.c
    return _asked(connection, visible, [predictions.reviewed.is_(False)], after, limit)


def second(
    connection: Connection, visible: Visible, reader_id: str, after: After | None = None, limit: int = 50
) -> list[Waiting]:
    """Predictions that one other reader has answered and this reader has not, in the same order.

    What the first reader said is no part of it.
    """
    checked_limit(limit)
    predictions, reviews = schema.predictions.c, schema.reviews
    of_this = reviews.c.prediction_id == predictions.id
    readers = select(func.count(reviews.c.reviewer_id.distinct())).where(of_this).scalar_subquery()
    mine = exists().where(of_this, reviews.c.reviewer_id == reader_id)
    return _asked(connection, visible, [predictions.reviewed.is_(True), ~mine, readers == 1], after, limit)


def count(connection: Connection, visible: Visible, most: int) -> int:
    """How many predictions wait for a first reader, counted up to `most`, so that a long queue costs no more."""
    predictions, found = schema.predictions.c, 0
    for scope in _scopes(connection, visible):
        where = [predictions.reviewed.is_(False), *_newest(), *scope]
        some = select(predictions.id).where(*where).limit(most - found).subquery()
        found += connection.execute(select(func.count()).select_from(some)).scalar_one()
        if found >= most:
            break
    return found


def place(row: Waiting) -> After:
    """Where to go on after a row."""
    return After(row.entropy, row.seq)


def unlabelled(connection: Connection, visible: Visible, before: int | None = None, limit: int = 50) -> Page[str]:
    """Ids of studies with files, without prediction or review, newest first: to be labelled from scratch."""
    wanted = checked_limit(limit) + 1
    studies = schema.studies
    has = [
        exists().where(table.c.study_id == studies.c.id) for table in (schema.files, schema.predictions, schema.reviews)
    ]
    rows = newest_first(
        connection,
        lambda more: select(studies.c.seq, studies.c.id).where(*more, has[0], ~has[1], ~has[2]),
        studies,
        visible,
        before,
        wanted,
    )
    return paged([str(row.id) for row in rows], [int(row.seq) for row in rows], limit)


def _asked(
    connection: Connection, visible: Visible, where: list[ColumnElement[bool]], after: After | None, limit: int
) -> list[Waiting]:
    found: list[Waiting] = []
    for scope in _scopes(connection, visible):
        conditions = [*where, *scope, *_newest()]
        some = [] if after is not None and after.entropy is None else _unsure(connection, conditions, after, limit)
        found += some
        if len(some) < limit:
            found += _without(connection, conditions, after, limit - len(some))
    return sorted(found, key=lambda row: (row.entropy is None, -(row.entropy or 0.0), -row.seq))[:limit]


def _newest() -> list[ColumnElement[bool]]:
    """The answer that a study has now: shown to readers, and followed by no other such one."""
    predictions, later = schema.predictions, schema.predictions.alias("later")
    followed = exists().where(
        later.c.study_id == predictions.c.study_id, later.c.seq > predictions.c.seq, later.c.arm != "shadow"
    )
    return [predictions.c.arm != "shadow", ~followed]


def _scopes(connection: Connection, visible: Visible) -> list[list[ColumnElement[bool]]]:
    if isinstance(visible, ColumnElement):
        return [seen(visible, schema.predictions)]
    projects = connection.scalars(select(schema.projects.c.id)).all() if visible is None else sorted(visible)
    return [[schema.predictions.c.project_id == project] for project in projects]


def _unsure(connection: Connection, where: list[ColumnElement[bool]], after: After | None, limit: int) -> list[Waiting]:
    entropy, seq = schema.predictions.c.entropy, schema.predictions.c.seq
    where = [*where, entropy.is_not(None)]
    if after is not None and after.entropy is not None:
        where += [entropy <= after.entropy, or_(entropy < after.entropy, seq < after.seq)]
    return _rows(connection, select(*_columns()).where(*where).order_by(entropy.desc(), seq.desc()).limit(limit))


def _without(
    connection: Connection, where: list[ColumnElement[bool]], after: After | None, limit: int
) -> list[Waiting]:
    entropy, seq = schema.predictions.c.entropy, schema.predictions.c.seq
    where = [*where, entropy.is_(None)]
    if after is not None and after.entropy is None:
        where.append(seq < after.seq)
    return _rows(connection, select(*_columns()).where(*where).order_by(seq.desc()).limit(limit))


def _columns() -> list[Any]:
    return [schema.predictions.c[name] for name in Waiting.__dataclass_fields__]


def _rows(connection: Connection, statement: Select[Any]) -> list[Waiting]:
    return [Waiting(*row) for row in connection.execute(statement)]
