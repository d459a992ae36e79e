"""The service with records: people, studies, jobs, reports and the trail, beside the plain endpoints."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from starlette.concurrency import run_in_threadpool

from insula.serve import described, plain, room, trouble
from insula.serve.api import (
    cohorts,
    jobs,
    models,
    monitor,
    pacs,
    pacs_send,
    people,
    pictures,
    predictions,
    reports,
    reviews,
    scans,
    session,
    similar,
    worklist,
)
from insula.serve.api import studies as studies_api
from insula.serve.api import trail as trail_api
from insula.serve.api import training as training_api
from insula.serve.api.guard import OPEN, Act, admits, check_routes, extra
from insula.serve.api.openapi import describe
from insula.serve.dicomweb import routes as dicomweb
from insula.serve.faults import RequestError
from insula.serve.health import Look
from insula.serve.models import choose
from insula.serve.models.loaded import Loaded
from insula.serve.models.registered import take_in
from insula.serve.monitor import traces
from insula.serve.service import Service
from insula.serve.store.connect import reading
from insula.serve.watch import Watch
from insula.serve.web import errors as page_errors
from insula.serve.web import routes as web
from insula.serve.work import at_work


def add_records(app: FastAPI, service: Service, stack: ExitStack) -> None:
    """Add every route, and refuse to start where one says nothing of who may call it.

    stack: what is entered when the service starts and left when it ends: the workers of this process.
    """
    app.state.service = service
    app.state.page_refusal = page_errors.refused
    take_in(service)
    for router in (
        session.routes(service),
        people.user_routes(service),
        people.key_routes(service),
        people.project_routes(service),
        people.glass_routes(service),
        studies_api.routes(service),
        studies_api.patient_routes(service),
        worklist.routes(service),
        predictions.routes(service),
        pictures.routes(service),
        scans.routes(service),
        similar.routes(service),
        reports.routes(service),
        reviews.routes(service),
        cohorts.routes(service),
        models.routes(service),
        training_api.routes(service),
        jobs.routes(service),
        pacs.routes(service),
        pacs_send.routes(service),
        trail_api.routes(service),
        monitor.routes(service),
        monitor.metrics_routes(service),
        _plain(service),
        *dicomweb.routers(service),
        *web.routers(service),
    ):
        app.router.routes.extend(router.routes)  # each by itself, so that `check_routes` sees it as it is served
    check_routes(app, frozenset({described.PATH}))
    describe(app)
    meter = replace(service.meter, routes=frozenset(str(getattr(route, "path", "")) for route in app.routes))
    app.add_middleware(Watch, service=service, meter=meter)
    app.router.lifespan_context = _with(app.router.lifespan_context, stack, service)


def _with(inner: Any, stack: ExitStack, service: Service) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stack.callback(service.records.dispose)
        if traces.start():
            stack.callback(traces.stop)
        stack.enter_context(at_work(service, service.settings.jobs))
        async with inner(app):
            yield
            await service.uploads.close()

    return lifespan


def _plain(service: Service) -> Any:
    def guard(needs: str) -> dict[str, Any]:
        if needs == OPEN:
            return {"openapi_extra": extra(OPEN, quiet=True)}
        asked: Any = needs
        quiet = needs == "model.read"
        return {"dependencies": [Depends(admits(service, asked))], "openapi_extra": extra(needs, quiet)}

    def tell(request: Request, bundle_id: str, scans: int) -> None:
        act: Act = request.state.act
        with act.write("prediction.plain", bundle_id[:64], scans=scans):
            pass

    async def in_charge() -> Loaded | None:
        return await run_in_threadpool(_in_charge, service)  # the loop never waits for the records

    look = Look(lambda: _in_charge_and_keeping(service))
    return plain.routes(service.settings, in_charge, service.line, service.limit, guard, tell, look.answer)


def _in_charge_and_keeping(service: Service) -> Loaded | None:
    """As `_in_charge`. Raises RequestError 503 where a disk takes nothing, with the code of `trouble.of`."""
    found = _in_charge(service)
    try:
        room.tried(_kept_in(service))
    except OSError as error:
        met = trouble.of(error) or RequestError(503, "storage", "The disk or file store does not do as asked.")
        said = "A disk takes nothing, so that nothing can be kept; make room, or look at the disk and its rights."
        raise RequestError(503, met.fault_code, said) from error
    return found


def _kept_in(service: Service) -> frozenset[Path]:
    """The folders of this machine that files, scans on their way, and SQLite's records are written to."""
    there = {Path(tempfile.gettempdir())}
    if service.files.folder is not None:
        there.add(service.files.folder)
    if service.records.dialect.name == "sqlite":
        there.add(Path(str(service.records.url.database)).absolute().parent)
    return frozenset(there)


def _in_charge(service: Service) -> Loaded | None:
    """The model of the plain endpoints: the active one of the name that the settings' bundle has, or the only one.

    None where no model is active, so that one which was retired answers nowhere.
    """
    with reading(service.records) as connection:
        active = {one.bundle_id: one.name for one in choose.in_state(connection, "active")}
    serving = [one for one in service.pool.all() if one.bundle.id in active]
    first = service.pool.first()
    same = [one for one in serving if first is not None and active[one.bundle.id] == first.bundle.recipe.name]
    return same[0] if same else serving[0] if len(serving) == 1 else None
