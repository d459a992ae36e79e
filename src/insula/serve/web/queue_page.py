"""What waits to be read: the least certain first, what wants a second reader, and what no model has answered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, RedirectResponse, Response

from insula.metrics.probabilities import exclusive
from insula.serve.api.cursor import After, cursor, seen
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.predictions import predictions_of
from insula.serve.api.reviews import queue_cursor, queue_place
from insula.serve.faults import RequestError
from insula.serve.models import choose
from insula.serve.people.caller import Caller
from insula.serve.people.visible import rows_of
from insula.serve.service import Service
from insula.serve.store import history, predictions, review_queue, reviews, schema, studies
from insula.serve.store.history import HistoryRow
from insula.serve.store.review_queue import After as Place
from insula.serve.store.review_queue import Waiting
from insula.serve.web.frame import PAGE, page

_ROWS: Final = 50
MOST_COUNTED: Final = 1000  # beyond which "more than" is as good to know
_MOST_WRITTEN: Final = 500

Second = Annotated[bool, Query()]


@dataclass(frozen=True)
class Tallies:
    """How many wait, up to MOST_COUNTED; how many this reader has read today and this week (days of UTC, Monday on)."""

    waiting: int
    more: bool
    today: int
    week: int


@dataclass(frozen=True)
class Line:
    """A prediction that waits. share: its entropy of the most that its model's answers can have, 0 to 1."""

    row: HistoryRow
    share: float | None


def routes(service: Service) -> APIRouter:
    """`/queue`, `/queue/unlabelled` and `/queue/next`."""
    made = Routes(service, "", "pages")

    @made.get("/queue", "review.write", **PAGE)
    def waiting(
        acting: Acting, after: Annotated[str | None, Query(max_length=60)] = None, second: Second = False
    ) -> HTMLResponse:
        """What waits to be read, the most uncertain first."""
        place = queue_place(after)
        with acting.read("queue.read", second=second) as connection:
            found = _asked(connection, acting.caller, second, place, _ROWS + 1)
            lines = _lines(connection, acting.caller, found[:_ROWS])
            tallies = _tallies(connection, acting.caller)
        here = "/queue?second=true" if second else "/queue"
        following = None
        if len(found) > _ROWS:
            following = f"{here}{'&' if second else '?'}after={queue_cursor(review_queue.place(found[_ROWS - 1]))}"
        return page(
            acting,
            "queue.html",
            which="second" if second else "first",
            lines=lines,
            tallies=tallies,
            most=MOST_COUNTED,
            first=here if after else None,
            next=following,
        )

    @made.get("/queue/unlabelled", "review.write", **PAGE)
    def unlabelled(acting: Acting, after: After = None) -> HTMLResponse:
        """Studies that no model has answered and nobody has labelled."""
        with acting.read("queue.read") as connection:
            who = rows_of(acting.caller, schema.studies)
            found = review_queue.unlabelled(connection, who, seen(after), _ROWS)
            named = studies.several(connection, found.rows, who)
            tallies = _tallies(connection, acting.caller)
        return page(
            acting,
            "queue_unlabelled.html",
            which="unlabelled",
            rows=[named[one] for one in found.rows],
            tallies=tallies,
            most=MOST_COUNTED,
            first="/queue/unlabelled" if after else None,
            next=None if found.before is None else f"/queue/unlabelled?after={cursor(found.before)}",
        )

    @made.get("/queue/next", "review.write", response_class=Response, include_in_schema=False)
    def following(
        acting: Acting, after: Annotated[str, Query(max_length=64)] = "", second: Second = False
    ) -> RedirectResponse:
        """To the case that comes after a prediction in the queue, else to its first; to the queue where none is left.

        The prediction may have been read meanwhile: its place in the order stays.
        """
        with acting.read("queue.next", second=second) as connection:
            place = _place_of(connection, acting.caller, after)
            found = _asked(connection, acting.caller, second, place, 1) if place else []
            found = found or _asked(connection, acting.caller, second, None, 2)
            found = [one for one in found if one.id != after]
            acting.told(found[0].study_id if found else "")
        if not found:
            return RedirectResponse("/queue?second=true" if second else "/queue", 303)
        return RedirectResponse(f"/studies/{found[0].study_id}?prediction={found[0].id}", 303)

    return made.router


def _asked(connection: Connection, caller: Caller, second: bool, place: Place | None, limit: int) -> list[Waiting]:
    who = predictions_of(caller)
    if second:
        return review_queue.second(connection, who, caller.user_id, place, limit)
    return review_queue.first(connection, who, place, limit)


def _place_of(connection: Connection, caller: Caller, prediction_id: str) -> Place | None:
    """A prediction's place in the order, None for one that is not there."""
    try:
        found = predictions.get(connection, prediction_id, predictions_of(caller))
    except RequestError:
        return None
    return Place(found.entropy, found.seq)


def _lines(connection: Connection, caller: Caller, found: list[Waiting]) -> list[Line]:
    rows = {row.seq: row for row in history.lines(connection, [one.seq for one in found], caller.reader_id)}
    most = _most_by_bundle(connection)
    made = []
    for one in found:
        row = rows[one.seq]
        top = most.get(row.bundle_id, math.log(2))
        made.append(Line(row, None if row.entropy is None else min(1.0, row.entropy / top)))
    return made


def _most_by_bundle(connection: Connection) -> Mapping[str, float]:
    """The largest entropy that a model's answer can have, nats: ln K of K classes of which one is true, else ln 2."""
    found = {}
    for one in choose.models(connection):
        kind, classes = one.info["kind"], one.info["classes"]
        count = len(classes) if classes and exclusive(kind) else 2
        found[one.bundle_id] = math.log(max(2, count))
    return found


def _tallies(connection: Connection, caller: Caller) -> Tallies:
    waiting = review_queue.count(connection, predictions_of(caller), MOST_COUNTED + 1)
    today = schema.now().replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday())
    written = reviews.written_by(connection, caller.user_id, monday, _MOST_WRITTEN)
    more = waiting > MOST_COUNTED
    return Tallies(min(waiting, MOST_COUNTED), more, sum(at >= today for at in written), len(written))
