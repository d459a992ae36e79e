"""Sending what was made of a prediction to another machine of the hospital, because a person asks for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

from insula.report.dicom.result import Object
from insula.serve.api import once
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.predictions import visible_prediction
from insula.serve.api.reviews import reviews_for
from insula.serve.api.shapes import Asked, Id, Job
from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.pacs import outbox
from insula.serve.people.caller import Caller
from insula.serve.people.visible import require_project
from insula.serve.service import Service
from insula.serve.store.predictions import StoredPrediction
from insula.serve.store.schema import now


class Send(Asked):
    """Where a prediction is to go, and as what.

    objects: kinds of DICOM objects; a peer that takes messages gets the report, with its PDF where `pdf` is named.
    review: whether the newest review that you may see is told of.
    """

    peer: Annotated[str, Field(max_length=32)]
    objects: Annotated[tuple[Object, ...], Field(min_length=1, max_length=5)] = ("report", "capture", "map")
    review: bool = True


def routes(service: Service) -> APIRouter:
    """`/predictions/{id}/send`."""
    made = Routes(service, "/api/v1", "pacs")

    @made.post(
        "/predictions/{prediction_id}/send", "pacs.move", status_code=202, response_model=Job, statuses=(404, 409)
    )
    def send(request: Request, acting: Acting, prediction_id: Id, asked: Send) -> Response:
        """Send a prediction to a peer, also one that it was sent to before: a job of the PACS node."""
        key, request_hash = once.key_of(request), once.hash_of(request, asked.model_dump(mode="json"))
        with acting.write("pacs.ask", prediction_id, peer=asked.peer) as connection:
            stored = visible_prediction(connection, acting.caller, prediction_id)
            require_project(acting.caller, stored.project_id)
            earlier = once.before(connection, acting.caller, key, request_hash)
            if earlier is not None:
                acting.told(replay=True)
                return earlier
            check_peer(service, asked.peer)
            review = newest_review(connection, acting.caller, stored) if asked.review else None
            wanted = outbox.asked_for(
                prediction_id,
                stored.study_id,
                stored.project_id,
                asked.peer,
                asked.objects,
                review,
                acting.caller.user_id,
            )
            job = Job.model_validate(queue.put(connection, wanted, now()))
            acting.told(job=job.id)
            body = job.model_dump(mode="json")
            once.keep(connection, acting.caller, key, request_hash, 202, body)
        return JSONResponse(body, 202, {"Location": f"/api/v1/jobs/{job.id}"})

    return made.router


def check_peer(service: Service, name: str) -> None:
    """Raise RequestError 404 where no peer of this name is set."""
    if name not in service.pacs.peer:
        known = ", ".join(sorted(service.pacs.peer)) or "none is set"
        raise RequestError(404, "no_peer", f"'{name[:32]}' is no peer; INSULA_PACS_PEERS has: {known}.")


def newest_review(connection: Connection, caller: Caller, stored: StoredPrediction) -> str | None:
    """The newest valid review of a prediction's own question that a caller may see.

    Of one that he must not know yet nothing goes, nor of one of a further target, which says nothing of the finding.
    """
    said = [
        one.id
        for one in reviews_for(connection, caller, stored.study_id)
        if one.replaced_by is None and one.prediction_id in (None, stored.id) and one.target == stored.answer["target"]
    ]
    return said[-1] if said else None
