"""How many answers a model gave on each day and what they were, and how long one takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
from sqlalchemy import Connection, func, select

from insula.serve.store.schema import predictions

LATEST: Final = 1000


@dataclass(frozen=True)
class Day:
    """One day (UTC). actions: `accept`, `refer`, `reject` → how many answers."""

    day: date
    actions: Mapping[str, int]


@dataclass(frozen=True)
class Took:
    """Milliseconds of the latest answers: the middle one, and that which 95% of them stay below; n: how many."""

    median: float
    most: float
    n: int


def days(connection: Connection, bundle_id: str, at: datetime, count: int = 30) -> list[Day]:
    """The last `count` days up to an instant, days without an answer included, from one look along an index."""
    first = at.astimezone(UTC).date() - timedelta(days=count - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    of = func.date(predictions.c.created_at)
    rows = connection.execute(
        select(of.label("day"), predictions.c.action, func.count().label("n"))
        .where(predictions.c.bundle_id == bundle_id, predictions.c.created_at >= since)
        .group_by(of, predictions.c.action)
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(str(row.day), {})[row.action] = row.n
    all_days = [first + timedelta(days=k) for k in range(count)]
    return [Day(one, found.get(one.isoformat(), {})) for one in all_days]


def took(connection: Connection, bundle_id: str) -> Took | None:
    """How long the latest answers took, at most 1,000 of them; None where there is none."""
    latest = (
        select(predictions.c.milliseconds)
        .where(predictions.c.bundle_id == bundle_id, predictions.c.milliseconds > 0)
        .order_by(predictions.c.created_at.desc())
        .limit(LATEST)
    )
    found = np.array(connection.scalars(latest).all(), np.float64)
    if not len(found):
        return None
    return Took(float(np.median(found)), float(np.quantile(found, 0.95)), len(found))
