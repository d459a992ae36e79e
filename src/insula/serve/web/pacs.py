"""The pages of the PACS: what came in over the network and how far it is, and what a peer has, to be fetched."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse

from insula.serve.api import pacs
from insula.serve.api.cursor import After, place, placed
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.jobs import jobs_of
from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.pacs import arrived
from insula.serve.pacs.arrived import STATES, Arrived, State
from insula.serve.pacs.delivered import TROUBLED
from insula.serve.pacs.pull import KIND as PULL
from insula.serve.pacs.query import Query as Question
from insula.serve.people import projects
from insula.serve.service import Service
from insula.serve.web.frame import PAGE, page

ROWS: Final = 50
_PULLS: Final = 5  # of those that the reader asked for, the newest
_MOST_FOUND: Final = 100
_WORDS: Final = ("patient_id", "patient_name", "accession_number", "description", "modality")
_FORM: Final = (*_WORDS, "since", "until")
Text = Annotated[str, Query(max_length=64)]


def routes(service: Service) -> APIRouter:
    """`/pacs` and `/pacs/search`."""
    made = Routes(service, "", "pages")

    @made.get("/pacs", "pacs.read", **PAGE)
    def came(acting: Acting, state: Text = "", after: After = None) -> HTMLResponse:
        """What came in over the network, those first of which an object came last."""
        with acting.read("pacs.list") as connection:
            found = arrived.page(connection, acting.caller, _state(state), place(after or None), ROWS)
            counts = arrived.counts(connection, acting.caller)
            pulls = queue.page(connection, jobs_of(acting.caller), limit=_PULLS, kind=PULL).rows
            named = {one.id: one.name for one in projects.every(connection) if one.id in acting.caller.projects}
            acting.told(rows=len(found.rows))
        return page(
            acting,
            "pacs.html",
            which="came",
            rows=found.rows,
            counts=counts,
            pulls=pulls,
            projects=named,
            several=len(named) > 1,
            troubled=_troubled,
            state=state,
            states=STATES,
            ae_title=service.pacs.ae_title,
            first=_address("/pacs", state=state) if after else None,
            next=None if found.before is None else _address("/pacs", state=state, after=placed(*found.before)),
        )

    @made.get("/pacs/search", "pacs.read", **PAGE)
    def search(
        acting: Acting,
        peer: Text = "",
        patient_id: Text = "",
        patient_name: Text = "",
        accession_number: Text = "",
        description: Text = "",
        modality: Text = "",
        since: Text = "",
        until: Text = "",
    ) -> HTMLResponse:
        """What a peer has. Without a peer the form alone; what went wrong there stands on the page."""
        values = (patient_id, patient_name, accession_number, description, modality, since, until)
        chosen = dict(zip(_FORM, values, strict=True))
        found, wrong, code = None, "", ""
        if peer:
            try:
                found = pacs.ask(acting, peer, _question(chosen))
            except RequestError as error:
                wrong, code = str(error), error.fault_code
        if found is None:
            acting.request.state.told = True  # nothing of a patient is on the form
        return page(
            acting,
            "pacs_search.html",
            which="search",
            peers=[one for one in pacs.peers_of(service) if one.search],
            peer=peer,
            chosen=chosen,
            found=found,
            wrong=wrong,
            code=code,
        )

    return made.router


def _troubled(row: Arrived) -> bool:
    """Whether something that followed the taking of a study did not go well."""
    job = None if row.case is None or row.case.prediction is not None else row.case.job
    return (job is not None and job.error is not None) or any(one.state in TROUBLED for one in row.sendings)


def _state(state: str) -> State | None:
    if state and state not in STATES:
        known = ", ".join(STATES)
        raise RequestError(422, "bad_state", f"'{state[:20]}' is no state of a received study; known are {known}.")
    return next((one for one in STATES if one == state), None)


def _question(chosen: dict[str, str]) -> Question:
    words = {name: chosen[name].strip() for name in _WORDS}
    return Question(**words, since=_day(chosen["since"]), until=_day(chosen["until"]), limit=_MOST_FOUND)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise RequestError(422, "bad_day", f"'{text[:20]}' is no day; write it as 2026-01-31.") from error


def _address(path: str, **values: str) -> str:
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{path}?{query}" if query else path
