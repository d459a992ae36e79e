"""UPS-RS (PS3.18, chapter 11): work items are made, found, claimed, changed, completed and cancelled."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.dicomweb import ups, worklist
from insula.serve.dicomweb.match import fit, page, search_of, shown
from insula.serve.dicomweb.media import JSON, DicomJson, body_is, require_json, unsupported, warned
from insula.serve.dicomweb.multipart import whole
from insula.serve.dicomweb.payload import MOST_BYTES, Attributes, dataset_of
from insula.serve.dicomweb.places import QUIET, Uid, root_of
from insula.serve.dicomweb.places import workitem as place
from insula.serve.faults import RequestError
from insula.serve.service import Service
from insula.serve.store.schema import now

# what a search always gives: UIDs, patient, label, state, priority, schedule, readiness (PS3.4, table CC.2.5-3, type 1)
_ALWAYS = (
    ups.CLASS, ups.UID, "00080005", "00100010", "00100020", "00100030", "00100040", ups.STUDY, ups.START, ups.MODIFIED,
    ups.WORK, ups.READY, ups.STATE, ups.PROGRESS, ups.PRIORITY, ups.WORKLIST, ups.LABEL,
)  # fmt: skip

Title = Annotated[str, Path(max_length=16)]


def routes(service: Service) -> APIRouter:
    """`/dicom-web/workitems`."""
    made = Routes(service, "/dicom-web", "dicomweb")

    @made.post("/workitems", "study.write", **QUIET)
    async def create(request: Request, acting: Acting) -> Response:
        """UPS-RS: a new work item, in one of your projects."""
        given = await _dataset(request)
        return await run_in_threadpool(_create, request, acting, given)

    @made.get("/workitems", "study.read", **QUIET)
    def search(request: Request, acting: Acting) -> Response:
        """UPS-RS: the work items of your projects that fit, the oldest first."""
        return _search(request, acting)

    @made.get("/workitems/{workitem}", "study.read", **QUIET)
    def one(request: Request, acting: Acting, workitem: Uid) -> Response:
        """UPS-RS: one work item, without its transaction UID."""
        require_json(request)
        with acting.read("workitem.read") as connection:
            found = worklist.get(connection, acting.caller, workitem)
            acting.told(found.id)
        return DicomJson([found.whole()])

    @made.post("/workitems/{workitem}", "study.write", **QUIET)
    async def update(request: Request, acting: Acting, workitem: Uid) -> Response:
        """UPS-RS: change a work item, under the transaction UID of whoever claimed it."""
        given = await _dataset(request)
        return await run_in_threadpool(_update, request, acting, workitem, given)

    @made.put("/workitems/{workitem}/state", "study.write", **QUIET)
    async def state(request: Request, acting: Acting, workitem: Uid) -> Response:
        """UPS-RS: claim, complete or cancel a work item."""
        given = await _dataset(request)
        return await run_in_threadpool(_move, request, acting, workitem, given)

    @made.post("/workitems/{workitem}/cancelrequest", "study.write", **QUIET)
    async def cancel(request: Request, acting: Acting, workitem: Uid) -> Response:
        """UPS-RS: ask that a work item be cancelled, which one that nobody has claimed is."""
        given = await _dataset(request, needed=False)
        return await run_in_threadpool(_cancel, acting, workitem, given)

    @made.post("/workitems/{workitem}/subscribers/{subscriber}", "study.read", **QUIET)
    def subscribe(acting: Acting, workitem: Uid, subscriber: Title) -> Response:
        """UPS-RS: subscriptions, which are not kept here."""
        raise RequestError(501, "no_subscriptions", "Events of work items are not sent; search for their state.")

    return made.router


async def _dataset(request: Request, needed: bool = True) -> Attributes:
    media = body_is(request)
    if media.kind not in (JSON, "application/json") and (needed or media.kind):
        raise unsupported(media, [JSON])
    body = await whole(request, MOST_BYTES)
    return dataset_of(body) if needed or body.strip() else {}


def _create(request: Request, acting: Act, given: Attributes) -> Response:
    uid = ups.name_of(given, request.query_params)
    with acting.write("workitem.create") as connection:
        project, name = worklist.project_for(connection, acting.caller, str(ups.first(given, ups.WORKLIST)))
        at = now()
        item, mended = ups.created(given, uid, name, at)
        acting.told(worklist.add(connection, uid, project, item, at))
    headers = {"Location": place(root_of(request), uid)}
    return Response(
        status_code=201, headers=headers | (warned("The Workitem was created with modifications.") if mended else {})
    )


def _search(request: Request, acting: Act) -> Response:
    require_json(request)
    search = search_of(request)
    with acting.read("workitem.search") as connection:
        found, more = worklist.listed(connection, acting.caller, search)
        rows = [shown(item, _ALWAYS, search) for item in (one.whole() for one in found) if fit(search.keys, item)]
        given, rest = page(rows, search)
        acting.told(rows=len(given))
    headers = warned("There are additional results that can be requested") if more or rest else {}
    if not given:
        return Response(status_code=204, headers=headers)
    return DicomJson(given, 206 if more or rest else 200, headers=headers)


def _update(request: Request, acting: Act, workitem: str, given: Attributes) -> Response:
    said = ups.transaction_of(given, request.query_params)
    with acting.write("workitem.update") as connection:
        one = worklist.get(connection, acting.caller, workitem, change=True)
        acting.told(one.id)
        at = now()
        item = ups.updated(one.attributes, one.state, given, one.holds(said), said, at)
        worklist.keep(connection, one, one.state, item, one.transaction_uid, at)
    return Response(status_code=200, headers={"Content-Location": place(root_of(request), workitem)})


def _move(request: Request, acting: Act, workitem: str, given: Attributes) -> Response:
    said, target = ups.transaction_of(given, request.query_params), str(ups.first(given, ups.STATE))
    if not said:
        raise ups.refused(400, "The Transaction UID is missing.")
    with acting.write("workitem.state") as connection:
        one = worklist.get(connection, acting.caller, workitem, change=True)
        acting.told(one.id, state=target[:16])
        warning = ups.moved(one.attributes, one.state, target, one.holds(said))
        if not warning:
            new = next(state for state in ups.STATES if state == target)
            worklist.keep(connection, one, new, one.attributes, said, now())
    return Response(status_code=200, headers=warned(warning) if warning else {})


def _cancel(acting: Act, workitem: str, asked: Attributes) -> Response:
    with acting.write("workitem.cancel") as connection:
        one = worklist.get(connection, acting.caller, workitem, change=True)
        acting.told(one.id)
        if one.state == "COMPLETED":
            raise ups.refused(409, "The UPS is already COMPLETED.")
        if one.state == "IN PROGRESS":  # nobody is told of events, so that the performer cannot learn of it
            raise ups.refused(409, "The performer cannot be contacted.")
        if one.state == "CANCELED":
            return Response(status_code=202, headers=warned("The UPS is already in the requested state of CANCELED."))
        at = now()
        worklist.keep(connection, one, "CANCELED", ups.cancelled(one.attributes, asked, at), None, at)
    return Response(status_code=202)
