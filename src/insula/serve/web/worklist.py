"""The worklist as a page: what there is to be read, how far work on it is, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from insula.serve.api import worklist
from insula.serve.api.cursor import After, cursor, seen
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.worklist import Named
from insula.serve.faults import RequestError
from insula.serve.people import projects
from insula.serve.people.projects import Project
from insula.serve.service import Service
from insula.serve.store.worklist import WANTED, Filters, Row, Wanted
from insula.serve.web.frame import PAGE, page

ROWS: Final = 50
_MOST_JOINS: Final = 3  # that are proposed at once


@dataclass(frozen=True)
class Join:
    """Studies of one patient that hold different modalities, the oldest first."""

    patient: str
    modalities: tuple[str, ...]
    studies: tuple[str, ...]


def routes(service: Service) -> APIRouter:
    """`/worklist`."""
    made = Routes(service, "", "pages")

    @made.get("/worklist", "study.read", **PAGE)
    def listed(
        acting: Acting,
        text: Annotated[str, worklist.TEXT] = "",
        project: Annotated[str, worklist.TEXT] = "",
        state: Annotated[str, worklist.TEXT] = "",
        mine: str = "",
        after: After = None,
    ) -> HTMLResponse:
        """A page of the worklist. A filter that is empty, as a form sends it, is none."""
        filters = Filters(text.strip(), project or None, _wanted(state), acting.caller.user_id if mine else None)
        found = worklist.page(acting, filters, seen(after or None), ROWS)
        with acting.look() as connection:
            own = projects.page(connection, limit=200, only=acting.caller.projects)
        chosen = {"text": filters.text, "project": project, "state": state, "mine": "1" if mine else ""}
        return page(
            acting,
            "worklist.html",
            rows=found.rows,
            joins=joins_in(found.rows) if acting.caller.may("study.write") else (),
            projects=own,
            several=_several(own, found.rows),
            chosen=chosen,
            filtered=any(chosen.values()),
            wanted=WANTED,
            first=_address(chosen) if after else None,
            next=None if found.before is None else _address({**chosen, "after": cursor(found.before)}),
        )

    @made.get("/worklist/rows", "study.read", **PAGE)
    def rows(acting: Acting, several: bool = True, named: Named = []) -> HTMLResponse:  # noqa: B006 - never changed
        """Some rows as they are now, to take the place of those that a page shows."""
        return page(acting, "worklist_rows.html", rows=worklist.some(acting, named), several=several)

    return made.router


def joins_in(rows: Sequence[Row]) -> tuple[Join, ...]:
    """Patients of a page whose studies hold different modalities, as far as nobody has made a case of them."""
    made = []
    by_patient = sorted(rows, key=lambda row: row.patient_id)  # stable: the newest first within a patient
    for _, some in groupby(by_patient, key=lambda row: row.patient_id):
        own = list(some)
        kinds = {row.id: frozenset(scan.modality for scan in row.scans if scan.modality) for row in own}
        if len({kind for kind in kinds.values() if kind}) < 2:
            continue
        different = {kind: name for name, kind in kinds.items() if kind}  # of each the oldest, which comes last
        if all(a.isdisjoint(b) for a in different for b in different if a is not b):
            studies = tuple(name for name in reversed(kinds) if name in different.values())
            made.append(Join(own[0].patient_key, tuple(sorted(set().union(*different))), studies))
    return tuple(made[:_MOST_JOINS])


def _wanted(state: str) -> Wanted | None:
    if state and state not in WANTED:
        raise RequestError(422, "bad_state", f"'{state[:20]}' is no state of a study; known are {', '.join(WANTED)}.")
    return next((one for one in WANTED if one == state), None)


def _several(own: Sequence[Project], rows: Sequence[Row]) -> bool:
    """Whether it has to be said which project a row is of."""
    return len({*(one.id for one in own), *(row.project_id for row in rows)}) > 1


def _address(values: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in values.items() if value})
    return f"/worklist?{query}" if query else "/worklist"
