"""Long lists by pages: each begins after the last row of the one before, so a deep page costs what the first costs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, select

from insula.serve.faults import RequestError
from insula.serve.store import schema

T = TypeVar("T")
Visible = Collection[str] | ColumnElement[bool] | None
MOST_ROWS = 200


@dataclass(frozen=True)
class Page(Generic[T]):
    """Rows, newest first. before: what to give to get the next page, None on the last one."""

    rows: tuple[T, ...]
    before: int | None


def checked_limit(limit: int) -> int:
    """The number of rows of a page. Raises RequestError outside of 1 to MOST_ROWS."""
    if not 1 <= limit <= MOST_ROWS:
        raise RequestError(422, "bad_limit", f"A page of {limit} rows was asked for; ask for 1 to {MOST_ROWS}.")
    return limit


def seen(visible: Visible, table: Table) -> list[ColumnElement[bool]]:
    """The conditions by which a table's rows may be seen: ids of projects, a condition as it is, or None for all."""
    if visible is None:
        return []
    if isinstance(visible, ColumnElement):
        return [visible]
    return [table.c.project_id.in_(sorted(visible))]


def newest_first(
    connection: Connection,
    rows: Callable[[Sequence[ColumnElement[bool]]], Select[Any]],
    table: Table,
    visible: Visible,
    before: int | None,
    limit: int,
) -> list[Row[Any]]:
    """The `limit` newest rows before a `seq` that may be seen. rows: the statement under conditions, with a column seq.

    Each project is asked by itself and the answers are merged: within one project an index has the rows in their order,
    over several none has.
    """
    bounds = [] if before is None else [table.c.seq < before]
    if isinstance(visible, ColumnElement):
        return list(connection.execute(rows([*bounds, visible]).order_by(table.c.seq.desc()).limit(limit)))
    projects = connection.scalars(select(schema.projects.c.id)).all() if visible is None else sorted(visible)
    found: list[Row[Any]] = []
    for project in projects:
        least = [table.c.seq > found[-1].seq] if len(found) == limit else []
        some = rows([table.c.project_id == project, *bounds, *least]).order_by(table.c.seq.desc()).limit(limit)
        found = sorted([*found, *connection.execute(some)], key=lambda row: -int(row.seq))[:limit]
    return found


def paged(rows: Sequence[T], seqs: Sequence[int], limit: int) -> Page[T]:
    """A page of at most `limit` rows out of one row more, which tells whether there is a next page."""
    kept = tuple(rows[:limit])
    return Page(kept, seqs[limit - 1] if len(rows) > limit else None)
