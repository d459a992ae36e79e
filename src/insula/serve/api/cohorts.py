"""Cohorts: reviewed studies, to be trained and evaluated on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from insula.serve.api import once
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.jobs import jobs_of
from insula.serve.api.shapes import Id, Job, NewCohort
from insula.serve.faults import RequestError
from insula.serve.jobs import export_cohort, queue
from insula.serve.jobs.arms import arms_for
from insula.serve.jobs.queue import Wanted
from insula.serve.service import Service
from insula.serve.store.schema import now

_ZIP = {200: {"content": {"application/zip": {}}, "description": "The table (Parquet or CSV), its notes, the scans."}}


def routes(service: Service) -> APIRouter:
    """`/cohorts`."""
    made = Routes(service, "/api/v1/cohorts", "cohorts")

    @made.post("", "cohort.export", status_code=202, response_model=Job, statuses=(409,))
    def create(request: Request, acting: Acting, asked: NewCohort) -> Response:
        """Make a cohort of the reviewed studies of your projects, as `insula split` and `train` read it: a job."""
        key, request_hash = once.key_of(request), once.hash_of(request, asked.model_dump(mode="json"))
        with acting.write("cohort.ask") as connection:
            earlier = once.before(connection, acting.caller, key, request_hash)
            if earlier is not None:
                acting.told(replay=True)
                return earlier
            bundle = arms_for(connection, asked.model, acting.caller.user_id, service.key)[0].bundle_id
            content = {
                "bundle": bundle,
                "projects": sorted(acting.caller.projects),
                "reader": acting.caller.reader_id,  # of whom others' answers are kept until his own
            }
            wanted = Wanted(export_cohort.KIND, content, created_by=acting.caller.user_id)
            body = Job.model_validate(queue.put(connection, wanted, now())).model_dump(mode="json")
            acting.told(body["id"])
            once.keep(connection, acting.caller, key, request_hash, 202, body)
        return JSONResponse(body, 202, {"Location": f"/api/v1/jobs/{body['id']}"})

    @made.get("/{job_id}/archive", "cohort.export", response_class=Response, responses=_ZIP, statuses=(409,))
    def archive(acting: Acting, job_id: Id) -> Response:
        """The cohort that a job made, as a zip file."""
        with acting.read("cohort.read", job_id) as connection:
            job = queue.get(connection, job_id, jobs_of(acting.caller))
        mine = job.kind == export_cohort.KIND and job.created_by == acting.caller.user_id
        if not mine or not acting.caller.projects.issuperset(job.payload["projects"]):  # who left one may not take it
            raise RequestError(404, "not_found", f"You made no cohort '{job_id}'; make one by POST /api/v1/cohorts.")
        if job.state != "done" or job.result is None:
            raise RequestError(409, "not_done", f"The job is {job.state}; wait until it is done.")
        headers = {
            "Content-Disposition": 'attachment; filename="cohort.zip"',
            "Content-Length": str(job.result["size"]),
        }
        return StreamingResponse(service.files.blocks(job.result["sha256"]), 200, headers, "application/zip")

    return made.router
