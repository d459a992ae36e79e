"""Other machines of the hospital: what came in from them, what they have, and what was sent to them."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query

from insula.serve.api.cursor import After, Limit, Page, place, placed
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.predictions import visible_prediction
from insula.serve.api.shapes import Id, Job
from insula.serve.api.shapes_pacs import ArrivedStudy, FoundStudies, PeerRow, Pull, SentRow
from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Wanted
from insula.serve.pacs import arrived, asked, sent
from insula.serve.pacs.arrived import State
from insula.serve.pacs.pull import KIND as PULL
from insula.serve.pacs.query import Query as Question
from insula.serve.pacs.query import Studies
from insula.serve.pacs.whole import retry as take_again
from insula.serve.service import Service
from insula.serve.store.schema import now

Same = Annotated[bool, Query(description="It is the patient who lies under that number, whatever headers say.")]
Text = Annotated[str, Query(max_length=64)]
Most = Annotated[int, Query(ge=1, le=200, description="Studies at most.")]


def routes(service: Service) -> APIRouter:
    """`/pacs`, and what of a prediction was sent."""
    made = Routes(service, "/api/v1", "pacs")

    @made.get("/pacs/peers", "pacs.read", quiet=True)
    def peers(acting: Acting) -> list[PeerRow]:
        """The machines that the service knows, by their names."""
        return peers_of(acting.service)

    @made.get("/pacs/studies", "pacs.read")
    def listed(
        acting: Acting, limit: Limit = 50, after: After = None, state: State | None = None
    ) -> Page[ArrivedStudy]:
        """What came in over the network, by the newest object: of your projects; to who manages them also the rest."""
        with acting.read("pacs.list") as connection:
            found = arrived.page(connection, acting.caller, state, place(after), limit)
            acting.told(rows=len(found.rows))
        return Page(
            items=[ArrivedStudy.model_validate(one) for one in found.rows],
            next=None if found.before is None else placed(*found.before),
        )

    @made.post("/pacs/studies/{pacs_study_id}/retry", "pacs.move", statuses=(409,))
    def retry(acting: Acting, pacs_study_id: Id, same_patient: Same = False) -> ArrivedStudy:
        """Take a study anew that failed, or that no rule took."""
        with acting.write("pacs.retry", pacs_study_id) as connection:
            found = arrived.get(connection, acting.caller, pacs_study_id)
            take_again(connection, found.id, now(), same_patient)
            if same_patient:
                acting.told(same_patient=True)
            return ArrivedStudy.model_validate(arrived.get(connection, acting.caller, pacs_study_id))

    @made.get("/pacs/peers/{peer}/studies", "pacs.read", statuses=(502, 503))
    def search(
        acting: Acting,
        peer: str,
        patient_id: Text = "",
        patient_name: Text = "",
        accession_number: Text = "",
        description: Text = "",
        modality: Text = "",
        since: date | None = None,
        until: date | None = None,
        limit: Most = 100,
    ) -> FoundStudies:
        """Ask a peer which studies it has; `*` and `?` stand for any characters. What is empty is not asked about."""
        question = Question(
            patient_id, patient_name, accession_number, since=since, until=until, modality=modality,
            description=description, limit=limit,
        )  # fmt: skip
        return FoundStudies.model_validate(ask(acting, peer, question))

    @made.post("/pacs/peers/{peer}/pulls", "pacs.move", status_code=202)
    def pull(acting: Acting, peer: str, asked_for: Pull) -> Job:
        """Fetch a study from a peer; it comes in as if the peer had sent it."""
        with acting.write("pacs.pull") as connection:
            found = asked.searchable(acting.service.pacs, peer)
            content = {"peer": found.name, "study_uid": asked_for.study_uid}
            job = queue.put(connection, Wanted(PULL, content, created_by=acting.caller.user_id), now())
            acting.told(job.id, peer=found.name)
            return Job.model_validate(job)

    @made.get("/predictions/{prediction_id}/sendings", "pacs.read")
    def sendings(acting: Acting, prediction_id: Id) -> list[SentRow]:
        """What of a prediction went to which peer, what is on its way, and what failed; the newest first."""
        with acting.read("pacs.sendings", prediction_id) as connection:
            stored = visible_prediction(connection, acting.caller, prediction_id)
            found = sent.of_prediction(connection, stored.study_id, prediction_id, acting.caller.reader_id)
        return [SentRow.model_validate(one) for one in found]

    return made.router


def peers_of(service: Service) -> list[PeerRow]:
    """The machines that the service knows, by their names."""
    known = [one for _, one in sorted(service.pacs.peer.items())]
    return [PeerRow(name=p.name, kind=p.kind, encrypted=p.encrypted, search=asked.can_search(p)) for p in known]


def ask(acting: Act, peer: str, question: Question) -> Studies:
    """Ask a peer, and tell the trail who did and how many studies were shown; not what was asked for.

    Raises RequestError 404 for no peer that can be asked, 400 for a question that is none, 502 where the peer does not
    answer or refuses, 503 while too many questions are under way.
    """
    known = asked.searchable(acting.service.pacs, peer)
    try:
        found = asked.studies(acting.service.pacs, known, question)
    except RequestError as error:
        with acting.write("pacs.search", peer=known.name, failed=error.fault_code):
            pass
        raise
    with acting.write("pacs.search", peer=known.name, rows=len(found.studies)):
        pass
    return found
