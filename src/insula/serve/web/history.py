"""The history of predictions: what was answered, by which model, and who has read it; as pages and as a sheet."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, Response

from insula.serve.api.cursor import cursor, seen
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.predictions import predictions_of
from insula.serve.faults import RequestError
from insula.serve.models import choose
from insula.serve.people.caller import Caller
from insula.serve.service import Service
from insula.serve.store import history, reviews
from insula.serve.store.history import Filters, HistoryRow
from insula.serve.store.said import sayer, target_in
from insula.serve.store.schema import now
from insula.serve.web.frame import PAGE, page
from insula.serve.web.history_sheet import MOST_ROWS, sheet_of

_ROWS: Final = 50

Day = Annotated[str, Field(max_length=20)]
Word = Annotated[str, Field(max_length=120)]
Flag = Literal["", "true", "false"]


class Asked(BaseModel):
    """The form's fields as they stand in the address; an empty one asks for nothing. Days are those of UTC."""

    patient: Word = ""
    since: Day = ""
    until: Day = ""
    action: Literal["", "accept", "refer", "reject"] = ""
    label: Word = ""
    model: Word = ""
    reviewer: Word = ""
    reviewed: Flag = ""
    disagreed: Flag = ""
    after: Annotated[str, Field(max_length=40)] = ""

    def address(self, path: str, **changed: str) -> str:
        """A place with these fields, some of them changed; those that ask for nothing are left out."""
        fields = {name: value for name, value in {**self.model_dump(), **changed}.items() if value}
        return f"{path}?{urlencode(fields)}" if fields else path

    def filters(self) -> Filters:
        """What they ask of the records. Raises RequestError 422 for a day that is none."""
        return Filters(
            first_instant(self.since),
            first_instant(self.until, 1),
            self.action or None,
            self.label or None,
            self.model or None,
            self.reviewer or None,
            _flag(self.disagreed),
            self.patient.strip() or None,
            _flag(self.reviewed),
        )


def routes(service: Service) -> APIRouter:
    """`/history` and `/history.csv`."""
    made = Routes(service, "", "pages")

    @made.get("/history", "study.read", **PAGE)
    def listed(acting: Acting, asked: Annotated[Asked, Query()]) -> HTMLResponse:
        """The newest predictions that are asked for."""
        rows: tuple[HistoryRow, ...] = ()
        before, wrong = None, ""
        with acting.read("prediction.history") as connection:
            who = acting.caller
            try:
                place = seen(asked.after or None)
                found = history.page(connection, predictions_of(who), asked.filters(), place, _ROWS, who.reader_id)
                rows, before = found.rows, found.before
            except RequestError as error:  # said beside the form, where it can be mended
                wrong = str(error)
            acting.told(rows=len(rows))
            choices = _choices(connection, who, asked)
            say = sayer(connection, {row.bundle_id for row in rows})
        first = asked.address("/history", after="")
        return page(
            acting,
            "history.html",
            422 if wrong else 200,
            asked=asked,
            rows=rows,
            say=say,
            wrong=wrong,
            first=first if asked.after else None,
            next=None if before is None else asked.address("/history", after=cursor(before)),
            sheet=asked.address("/history.csv", after=""),
            most=MOST_ROWS,
            spans=_spans(asked, now().date()),
            filtered=first != "/history",
            **choices,
        )

    @made.get("/history.csv", "study.read", response_class=Response, include_in_schema=False)
    def sheet(acting: Acting, asked: Annotated[Asked, Query()]) -> Response:
        """The same predictions for a spreadsheet."""
        return sheet_of(acting, asked.filters())

    return made.router


def first_instant(day: str, later: int = 0) -> datetime | None:
    """The beginning of a day (UTC), or of one so many days later; None for no day. Raises RequestError 422."""
    if not day:
        return None
    try:
        return datetime.combine(date.fromisoformat(day) + timedelta(days=later), time(), UTC)
    except (ValueError, OverflowError) as error:
        raise RequestError(422, "bad_day", f"'{day}' is no day; write it as 2026-01-31.") from error


def _flag(text: Flag) -> bool | None:
    return None if text == "" else text == "true"


def _choices(connection: Connection, caller: Caller, asked: Asked) -> dict[str, Any]:
    """What the lists of the form offer: answers and models that are registered, and who has read here."""
    models = choose.models(connection)
    labels: dict[str, str] = {}
    for one in models:
        target = target_in(one.info)
        for name in one.info["classes"]:  # two models may say one class differently: the first one's words stand
            labels.setdefault(name, name if target is None else target.say(name))
    if asked.label:
        labels.setdefault(asked.label, asked.label)
    readers = reviews.readers(connection, caller.projects)
    if asked.reviewer and asked.reviewer not in dict(readers):  # one who has left the projects since
        readers.append((asked.reviewer, asked.reviewer[:8]))
    return {
        "labels": list(labels.items()),
        "models": [(one.bundle_id, one.name, one.state) for one in reversed(models)],
        "reviewers": readers,
    }


def _spans(asked: Asked, today: date) -> list[tuple[str, str, bool]]:
    """Links to months: the name (a sentence of the catalogues), the address, and whether it is the one shown."""
    first = today.replace(day=1)
    last = first - timedelta(days=1)
    spans = [("This month", str(first), ""), ("Last month", str(last.replace(day=1)), str(last)), ("All", "", "")]
    return [
        (name, asked.address("/history", after="", since=a, until=b), (asked.since, asked.until) == (a, b))
        for name, a, b in spans
    ]
