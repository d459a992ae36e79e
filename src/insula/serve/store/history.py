"""The history of predictions: pages by filters, each of them along an index, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, exists, func, select

from insula.serve.faults import RequestError
from insula.serve.store import reviews, schema
from insula.serve.store.paging import Page, Visible, checked_limit, newest_first, paged, seen

MOST_PATIENTS: Final = 500
_MOST: Final = 10_000  # values of one statement
# rows come in the order of their instants but for transactions that overlap and clocks that differ by less than this
_DISORDER: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Filters:
    """What of the history is wanted; None is everything.

    since, until: created from the first instant on and before the second. reviewer_id: predictions that this user has
    a valid review of. reviewed: whether anybody has. patient: part of the patient's key, in small or capital letters.
    """

    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    label: str | None = None
    bundle_id: str | None = None
    reviewer_id: str | None = None
    disagreed: bool | None = None
    patient: str | None = None
    reviewed: bool | None = None


@dataclass(frozen=True)
class HistoryRow:
    """One line of the history. disagreed: None where the one who asks must not know yet."""

    id: str
    seq: int
    project_id: str
    study_id: str
    created_at: datetime
    patient_id: str
    patient_key: str
    title: str
    bundle_id: str
    model_name: str
    arm: str
    action: str
    label: str
    confidence: float
    entropy: float | None
    reviewed: bool
    disagreed: bool | None


def page(
    connection: Connection,
    visible: Visible,
    filters: Filters,
    before: int | None = None,
    limit: int = 50,
    reader_id: str | None = None,
) -> Page[HistoryRow]:
    """Predictions that may be seen, newest first.

    reader_id: of somebody who reads studies himself (`Caller.reader_id`), who is told of no disagreement about what he
    has not answered yet: the row does not say it, and a filter by disagreement finds no such row.

    Raises RequestError 422 for a wrong limit, and where a text is part of the keys of more than MOST_PATIENTS patients.
    """
    wanted = checked_limit(limit) + 1
    where = _conditions(connection, filters)
    if where is None:
        return Page((), None)
    if filters.disagreed is not None and reader_id is not None:
        where.append(reviews.told_to(reader_id))
    if filters.patient is not None:
        of_patients = _of_patients(connection, visible, filters.patient)
        where.append(schema.predictions.c.seq.in_([seq for seq in of_patients if before is None or seq < before]))
    if filters.reviewer_id is not None:
        rows = _reviewed(connection, filters.reviewer_id, [*seen(visible, schema.predictions), *where], before, wanted)
    elif filters.patient is not None:
        rows = _few(connection, [*seen(visible, schema.predictions), *where], wanted)
    else:
        rows = _newest(connection, visible, where, before, wanted)
    return paged(lines(connection, rows, reader_id), rows, limit)


def lines(connection: Connection, seqs: Sequence[int], reader_id: str | None) -> list[HistoryRow]:
    """The lines of predictions by their places, newest first; reader_id as in `page`."""
    predictions, studies, patients = schema.predictions, schema.studies, schema.patients
    own = [name for name in HistoryRow.__dataclass_fields__ if name in predictions.c]
    columns: list[Any] = [*(predictions.c[name] for name in own), studies.c.title]
    columns += [patients.c.id.label("patient_id"), patients.c.key.label("patient_key")]
    joined = predictions.join(studies, predictions.c.study_id == studies.c.id)
    joined = joined.join(patients, studies.c.patient_id == patients.c.id)
    rows = connection.execute(select(*columns).select_from(joined).where(predictions.c.seq.in_(seqs)))
    found = sorted((HistoryRow(**row._mapping) for row in rows), key=lambda row: -row.seq)
    hidden = reviews.withheld(connection, [row.id for row in found if row.reviewed], reader_id)
    return [replace(row, disagreed=None) if row.id in hidden else row for row in found]


def _conditions(connection: Connection, filters: Filters) -> list[ColumnElement[bool]] | None:
    """The conditions on rows of `predictions`; None where no row can meet them."""
    predictions = schema.predictions.c
    names = ("action", "label", "bundle_id", "disagreed", "reviewed")
    where = [predictions.arm != "shadow"]  # which answers for comparison alone
    where += [predictions[name] == value for name in names if (value := getattr(filters, name)) is not None]
    if filters.since is not None or filters.until is not None:
        bounds = _between(connection, filters.since, filters.until)
        return None if bounds is None else where + bounds
    return where


def _newest(
    connection: Connection, visible: Visible, where: Sequence[ColumnElement[bool]], before: int | None, limit: int
) -> list[int]:
    """Places of the newest predictions, along the index of a project and the first of the filters that has one."""
    predictions = schema.predictions
    found = newest_first(
        connection, lambda more: select(predictions.c.seq).where(*where, *more), predictions, visible, before, limit
    )
    return [int(row.seq) for row in found]


def _few(connection: Connection, where: Sequence[ColumnElement[bool]], limit: int) -> list[int]:
    """Places of the newest predictions of some that are named one by one."""
    seq = schema.predictions.c.seq
    return [int(found) for found in connection.scalars(select(seq).where(*where).order_by(seq.desc()).limit(limit))]


def _reviewed(
    connection: Connection, reviewer_id: str, where: Sequence[ColumnElement[bool]], before: int | None, limit: int
) -> list[int]:
    """Places of the predictions that a reader has a valid review of, along the reader's own index of reviews."""
    predictions, reviews = schema.predictions.c, schema.reviews.c
    place = reviews.prediction_seq
    mine = [reviews.reviewer_id == reviewer_id, reviews.replaced_by.is_(None), place.is_not(None)]
    mine += [] if before is None else [place < before]
    meets = exists().where(predictions.seq == place, *where)
    statement = select(place).distinct().where(*mine, meets).order_by(place.desc()).limit(limit)
    return [int(seq) for seq in connection.scalars(statement)]


def _between(
    connection: Connection, since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]] | None:
    """A span of time as conditions, with its bounds in the order of rows, so that those outside are never met."""
    predictions = schema.predictions.c
    made = predictions.created_at
    exactly = func.coalesce(made, made)  # so that no index of instants is taken for it, which has another order
    where: list[ColumnElement[bool]] = []
    if since is not None:
        first = connection.execute(select(func.min(made)).where(made >= since)).scalar_one_or_none()
        if first is None:
            return None
        near = select(func.min(predictions.seq)).where(made >= first, made < first + _DISORDER)
        where += [exactly >= since, predictions.seq >= connection.execute(near).scalar_one()]
    if until is not None:
        last = connection.execute(select(func.max(made)).where(made < until)).scalar_one_or_none()
        if last is None:
            return None
        near = select(func.max(predictions.seq)).where(made <= last, made > last - _DISORDER)
        where += [exactly < until, predictions.seq <= connection.execute(near).scalar_one()]
    return where


def _of_patients(connection: Connection, visible: Visible, text: str) -> Sequence[int]:
    """Places of the predictions of the patients whose keys hold a text."""
    patients, studies, predictions = schema.patients.c, schema.studies.c, schema.predictions.c
    text = text.strip()
    if not text:
        raise RequestError(422, "bad_text", "The text to be found in the patient's key is empty; type a part of a key.")
    within = [] if isinstance(visible, ColumnElement) else seen(visible, schema.patients)
    # SQLite's LIKE takes small for capital letters by itself (ASCII), at half the time of lower()
    sqlite = connection.dialect.name == "sqlite"
    holds = (patients.key.contains if sqlite else patients.key.icontains)(text, autoescape=True)
    matching = select(patients.id).where(holds, *within)
    found = _at_most(connection, matching, MOST_PATIENTS, text)
    of_these = _at_most(connection, select(studies.id).where(studies.patient_id.in_(found)), _MOST, text)
    return _at_most(connection, select(predictions.seq).where(predictions.study_id.in_(of_these)), _MOST, text)


def _at_most(connection: Connection, wanted: Select[Any], most: int, text: str) -> Sequence[Any]:
    """The values of a statement; no more than one too many is ever fetched."""
    found = connection.scalars(wanted.limit(most + 1)).all()
    if len(found) > most:
        raise RequestError(
            422,
            "too_many",
            f"Too many patients (more than {MOST_PATIENTS}) or predictions have '{text[:40]}' in their "
            "key; type more of it.",
        )
    return found
