"""Predictions of studies, and the history of all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from insula.serve.api import once
from insula.serve.api.cursor import After, Limit, Page, cursor, seen
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.jobs import until_ended
from insula.serve.api.shapes import HistoryRow, Id, Job, Predict, Prediction
from insula.serve.faults import RequestError
from insula.serve.jobs import predict_study, queue
from insula.serve.jobs.arms import arms_for
from insula.serve.jobs.queue import Wanted
from insula.serve.models.choose import SHADOW
from insula.serve.people.caller import Caller
from insula.serve.people.visible import require_project, rows_of, studies_of
from insula.serve.service import Service
from insula.serve.store import history, predictions, reviews, studies
from insula.serve.store.history import Filters
from insula.serve.store.paging import Visible
from insula.serve.store.patients import not_found
from insula.serve.store.schema import now
from insula.serve.store.schema import predictions as table

_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")
_LONGEST_WAIT = 60


def predictions_of(caller: Caller) -> Visible:
    """Which predictions a caller may see."""
    return rows_of(caller, table)


def routes(service: Service) -> APIRouter:
    """`/studies/{id}/predictions` and `/predictions`."""
    made = Routes(service, "/api/v1", "predictions")

    @made.post(
        "/studies/{study_id}/predictions",
        "study.predict",
        status_code=202,
        response_model=Job,
        responses={201: {"model": Prediction, "description": "Predicted within the time that `Prefer` gave."}},
        statuses=(409,),
    )
    async def predict(request: Request, acting: Acting, study_id: Id, asked: Predict) -> Response:
        """Predict a study: a job, or with `Prefer: wait=30` its prediction, if it is there within so many seconds."""
        key, wait = once.key_of(request), _wait(request)
        found = await run_in_threadpool(_put, service, acting, request, key, study_id, asked)
        if isinstance(found, Response):
            return found
        job = await until_ended(request, acting, found.id, wait) if wait else found
        if job.state != "done":
            headers = {"Location": f"/api/v1/jobs/{job.id}", "Retry-After": "1"}
            return JSONResponse(job.model_dump(mode="json"), 202, headers)
        made_now = await run_in_threadpool(_read, acting, str((job.result or {})["prediction"]))
        where = f"/api/v1/predictions/{made_now.id}"
        return JSONResponse(made_now.model_dump(mode="json"), 201, {"Location": where})

    @made.get("/studies/{study_id}/predictions", "study.read")
    def of_study(acting: Acting, study_id: Id) -> list[Prediction]:
        """The predictions of a study, the newest first."""
        with acting.read("prediction.list", study_id) as connection:
            studies.get(connection, study_id, studies_of(acting.caller))
            found = visible_of_study(connection, acting.caller, study_id)
        return [Prediction.model_validate(one) for one in found]

    @made.get("/predictions", "study.read")
    def listed(
        acting: Acting,
        limit: Limit = 50,
        after: After = None,
        since: datetime | None = None,
        until: datetime | None = None,
        action: Literal["accept", "refer", "reject"] | None = None,
        label: Annotated[str | None, Query(max_length=120)] = None,
        model: Annotated[str | None, Query(max_length=64, description="A bundle's id.")] = None,
        reviewer: Id | None = None,
        disagreed: bool | None = None,
        reviewed: bool | None = None,
        patient: Annotated[str | None, Query(max_length=64, description="Part of the patient's key.")] = None,
    ) -> Page[HistoryRow]:
        """The history, the newest first; of `disagreed` a reviewer is told where he has answered himself."""
        for name, moment in (("since", since), ("until", until)):
            if moment is not None and moment.tzinfo is None:
                raise RequestError(422, "invalid", f"'{name}' has no time zone; write it as 2026-01-31T08:00:00Z.")
        filters = Filters(since, until, action, label, model, reviewer, disagreed, patient, reviewed)
        with acting.read("prediction.history") as connection:
            caller = acting.caller
            found = history.page(connection, predictions_of(caller), filters, seen(after), limit, caller.reader_id)
            acting.told(rows=len(found.rows))
        return Page(
            items=[HistoryRow.model_validate(one) for one in found.rows],
            next=None if found.before is None else cursor(found.before),
        )

    @made.get("/predictions/{prediction_id}", "study.read")
    def one(acting: Acting, prediction_id: Id) -> Prediction:
        """One prediction."""
        return _read(acting, prediction_id)

    return made.router


def visible_prediction(connection: Connection, caller: Caller, prediction_id: str) -> predictions.StoredPrediction:
    """One prediction that a caller may see; of a model that only runs along none. Raises RequestError 404."""
    found = predictions.get(connection, prediction_id, predictions_of(caller))
    if found.arm == SHADOW:
        raise not_found("prediction")
    return _as_told(connection, caller, [found])[0]


def visible_of_study(
    connection: Connection, caller: Caller, study_id: str, most: int | None = None
) -> list[predictions.StoredPrediction]:
    """The newest predictions of a study that the caller may see, all without `most`; none that only run along."""
    return _as_told(connection, caller, predictions.of_study(connection, study_id, most, shadows=False))


def _as_told(
    connection: Connection, caller: Caller, found: Sequence[predictions.StoredPrediction]
) -> list[predictions.StoredPrediction]:
    """Without what others said where the caller is yet to answer."""
    hidden = reviews.withheld(connection, [one.id for one in found if one.reviewed], caller.reader_id)
    return [replace(one, disagreed=None) if one.id in hidden else one for one in found]


def _read(acting: Act, prediction_id: str) -> Prediction:
    with acting.read("prediction.read", prediction_id) as connection:
        return Prediction.model_validate(visible_prediction(connection, acting.caller, prediction_id))


def _put(
    service: Service, acting: Act, request: Request, key: str, study_id: str, asked: Predict
) -> Job | JSONResponse:
    request_hash = once.hash_of(request, asked.model_dump(mode="json"))
    with acting.write("prediction.ask", study_id) as connection:
        study = studies.get(connection, study_id, studies_of(acting.caller))
        require_project(acting.caller, study.project_id)
        earlier = once.before(connection, acting.caller, key, request_hash)
        if earlier is not None:
            acting.told(replay=True)
            return earlier
        arms = arms_for(connection, asked.model, study.patient_id, service.key)
        content: dict[str, Any] = predict_study.payload(arms, asked.series, asked.attributes, asked.uncertainty)
        wanted = Wanted(
            predict_study.KIND,
            content,
            project_id=study.project_id,
            study_id=study_id,
            created_by=acting.caller.user_id,
        )
        job = Job.model_validate(queue.put(connection, wanted, now()))
        acting.told(job=job.id, bundle=arms[0].bundle_id)
        once.keep(connection, acting.caller, key, request_hash, 202, job.model_dump(mode="json"))
    return job


def _wait(request: Request) -> float:
    found = _WAIT.search(request.headers.get("prefer", ""))
    return float(min(int(found[1]), _LONGEST_WAIT)) if found else 0.0
