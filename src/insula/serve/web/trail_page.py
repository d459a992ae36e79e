"""The audit trail to be read: who did what, when, and to what; and who broke the glass, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from starlette.responses import HTMLResponse

from insula.serve.api.cursor import After, cursor, seen
from insula.serve.api.guard import Acting, Routes
from insula.serve.faults import RequestError
from insula.serve.models.choose import SHADOW
from insula.serve.people import glass, user
from insula.serve.people.caller import Caller
from insula.serve.people.visible import studies_of, visible
from insula.serve.service import Service
from insula.serve.store.schema import now, predictions, studies
from insula.serve.trail import search
from insula.serve.trail.entries import Entry, instant, legible, to_show
from insula.serve.trail.search import Filter
from insula.serve.web.frame import PAGE, page
from insula.serve.web.history import first_instant

OUTCOMES: Final = ("done", "refused", "failed")
_ROWS: Final = 50
_ID: Final = re.compile(r"[0-9a-f]{32}")

Word = Annotated[str, Field(max_length=120)]


class Asked(BaseModel):
    """The form's fields as they stand in the address; an empty one asks for nothing. Days are those of UTC."""

    actor: Word = ""
    action: Word = ""
    subject: Word = ""
    outcome: Word = ""
    since: Annotated[str, Field(max_length=20)] = ""
    until: Annotated[str, Field(max_length=20)] = ""
    after: Annotated[str, Field(max_length=40)] = ""

    def address(self, **changed: str) -> str:
        """The page with these fields, some of them changed."""
        return _address("/trail", {**self.model_dump(), **changed})

    def filter(self) -> Filter:
        """What they ask of the trail. Raises RequestError 422 for a day that is none."""
        actor, action, subject, outcome = (one.strip() for one in (self.actor, self.action, self.subject, self.outcome))
        return Filter(actor, action, subject, outcome, first_instant(self.since), first_instant(self.until, 1))


@dataclass(frozen=True)
class Line:
    """An entry as it is shown. details: names and values, or the text as it is where that is no plain object.

    where: the address of the study that it is about, for those who may see it.
    """

    entry: Entry
    details: tuple[tuple[str, str], ...]
    where: str | None


def routes(service: Service) -> APIRouter:
    """`/trail` and `/glass`."""
    made = Routes(service, "", "pages")

    @made.get("/trail", "trail.read", **PAGE)
    def listed(acting: Acting, asked: Annotated[Asked, Query()]) -> HTMLResponse:
        """The newest entries that are asked for."""
        entries: tuple[Entry, ...] = ()
        before, wrong, wanted = None, "", search.ALL
        with acting.read("trail.read") as connection:
            try:
                wanted, place = asked.filter(), seen(asked.after or None)
                found = search.page(connection, wanted, before=place, limit=_ROWS)
                entries, before = found.entries, found.before
            except RequestError as error:  # said beside the form, where it can be mended
                wrong = str(error)
            lines = _lines(connection, acting.caller, entries)
            actors, actions = search.known(connection, "actor"), search.known(connection, "action")
        first = asked.address(after="")
        return page(
            acting,
            "trail.html",
            422 if wrong else 200,
            asked=asked,
            lines=lines,
            wrong=wrong,
            actors=[legible(one) for one in actors],
            actions=[legible(one) for one in actions],
            outcomes=OUTCOMES,
            filtered=first != "/trail",
            first=first if asked.after else None,
            next=None if before is None else asked.address(after=cursor(before)),
            exports={form: _export(wanted, form) for form in ("jsonl", "csv")},
        )

    @made.get("/glass", "trail.read", **PAGE)
    def openings(acting: Acting, after: After = None) -> HTMLResponse:
        """Who opened which study of another project, and why."""
        with acting.read("glass.list") as connection:
            found = glass.newest(connection, seen(after), _ROWS + 1)
            names = user.names_of(connection, [one.user_id for one in found])
            places = _places(connection, acting.caller, [one.study_id for one in found])
        last = found[_ROWS - 1] if len(found) > _ROWS else None
        return page(
            acting,
            "glass.html",
            openings=found[:_ROWS],
            names=names,
            shown=places,
            now=now(),
            first="/glass" if after else None,
            next=None if last is None else _address("/glass", {"after": cursor(last.seq)}),
        )

    return made.router


def _lines(connection: Connection, caller: Caller, entries: Collection[Entry]) -> list[Line]:
    places = _places(connection, caller, [entry.subject for entry in entries])
    return [Line(to_show(entry), _details(entry.detail), places.get(entry.subject)) for entry in entries]


def _places(connection: Connection, caller: Caller, subjects: Collection[str]) -> Mapping[str, str]:
    """Where the studies and predictions among some ids are shown, of those that the caller may see."""
    ids = {one for one in subjects if _ID.fullmatch(one)}
    if not ids or not caller.may("study.read"):
        return {}
    found = connection.scalars(select(studies.c.id).where(studies.c.id.in_(ids), studies_of(caller)))
    places = {str(one): f"/studies/{one}" for one in found}
    shown = (visible(caller, predictions.c.project_id, predictions.c.study_id), predictions.c.arm != SHADOW)
    rows = connection.execute(select(predictions.c.id, predictions.c.study_id).where(predictions.c.id.in_(ids), *shown))
    return {**places, **{row.id: f"/studies/{row.study_id}?prediction={row.id}" for row in rows}}


def _details(text: str) -> tuple[tuple[str, str], ...]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return (("", legible(text)),)
    if not isinstance(found, dict):
        return (("", legible(text)),)
    return tuple((legible(name), legible(_value(value))) for name, value in found.items())


def _value(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(str(one) for one in value)
    return value if isinstance(value, str) else json.dumps(value)


def _export(wanted: Filter, form: str) -> str:
    """Where the API gives out the same entries, all of them."""
    bounds = {name: instant(at) for name in ("since", "until") if (at := getattr(wanted, name)) is not None}
    words = {name: getattr(wanted, name) for name in ("actor", "action", "subject", "outcome")}
    return _address("/api/v1/trail/export", {"format": form, **words, **bounds})


def _address(path: str, fields: Mapping[str, str]) -> str:
    given = {name: value for name, value in fields.items() if value}
    return f"{path}?{urlencode(given)}" if given else path
