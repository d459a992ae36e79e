"""The service: routes over models and records, all of them behind the shield."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from insula import __version__
from insula.core.errors import InsulaError
from insula.core.log import get
from insula.serve import faults, pages, plain, trouble
from insula.serve import invalid as sayings
from insula.serve.answers import INTENDED_USE
from insula.serve.api import problem
from insula.serve.described import add_description
from insula.serve.model import line_of, needed, pool_of
from insula.serve.models.limit import ClientLimit
from insula.serve.models.line import Line
from insula.serve.models.loaded import Loaded
from insula.serve.settings import Settings, check
from insula.serve.shield import Shield
from insula.serve.upload import MOST_FILES, files_of, flag, form_of, tidy


def create_app(settings: Settings) -> FastAPI:
    """The application. The bundle is verified, loaded and warmed here, so that a wrong one fails before listening.

    Where the settings name a database there are people, studies, jobs and the trail as well (`/api/v1`). Raises
    UsageError for settings that do not go together, BundleError for a bundle that is refused, and RecordsError or
    TrailError for records that cannot be gone on with.
    """
    check(settings)
    if settings.database:
        from insula.serve.service import check_records

        check_records(settings)
    tidy()
    pool, line = pool_of(settings), line_of(settings)
    limit = ClientLimit(settings.per_minute, settings.burst)
    stack = ExitStack()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with stack:
            yield
            await line.close()

    app = FastAPI(
        title="Insula",
        version=__version__,
        description=INTENDED_USE,
        docs_url=None,  # the pages behind these two load scripts from a third party
        redoc_url=None,
        openapi_url=None,  # `described` answers it
        lifespan=lifespan,
    )
    add_description(app)
    app.state.with_records = bool(settings.database)
    app.add_middleware(Shield, settings=settings)
    _add_handlers(app)
    if settings.database:
        from insula.serve.full import add_records  # a second of imports that the plain service does without
        from insula.serve.service import open_service

        add_records(app, open_service(settings, pool, line, limit), stack)
    else:
        _add_plain(app, settings, pool.first(), line, limit)
    return app


def _add_plain(app: FastAPI, settings: Settings, model: Loaded | None, line: Line, limit: ClientLimit) -> None:
    def guard(_: str) -> dict[str, Any]:
        return {}

    async def only() -> Loaded | None:
        return model

    app.router.routes.extend(plain.routes(settings, only, line, limit, guard, None, only).routes)

    @app.get("/", include_in_schema=False)
    async def start_page() -> HTMLResponse:
        """A page for people: pick a scan, see the answer."""
        return HTMLResponse(pages.page(model.info() if model else None))

    @app.post("/", include_in_schema=False)
    async def result_page(request: Request) -> HTMLResponse:
        """The start page with an answer or an error on it."""
        info = model.info() if model else None
        try:
            served = needed(model)
            plain.admit(request, line, limit)
            async with form_of(request, MOST_FILES) as form:
                files, wanted = files_of(form, "file"), flag(request, form, "uncertainty")
                result = await line.run_for(request, served.run, files, wanted)
                drawn = await line.run_for(request, served.overlay, result)
        except InsulaError as error:
            headers = error.headers if isinstance(error, faults.RequestError) else {}
            return HTMLResponse(pages.page(info, error=faults.fault(error)), faults.status_of(error), headers)
        return HTMLResponse(pages.page(info, answer=served.answer(result, wanted), drawn=drawn))

    @app.get("/insula.css", include_in_schema=False)
    async def style() -> Response:
        """The page's one style sheet."""
        return Response(pages.style(), media_type="text/css")


def _add_handlers(app: FastAPI) -> None:
    async def refused(
        request: Request,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None,
        more: Mapping[str, Any] | None = None,
    ) -> Response:
        request.state.fault = code
        as_page = getattr(app.state, "page_refusal", None)  # where there are pages, a browser is told in one
        if as_page is not None and faults.wants_page(request):
            made: Response = await run_in_threadpool(
                as_page, request, app.state.service, status, code, message, headers
            )
            return made
        return problem.at(request.url.path, status, code, message, headers, more)

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, InsulaError)  # noqa: S101 - registered for this type alone
        said = faults.fault(error)
        headers = error.headers if isinstance(error, faults.RequestError) else {}
        more = error.more if isinstance(error, faults.RequestError) else {}
        return await refused(request, faults.status_of(error), said["code"], said["message"], headers, more)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
        if isinstance(error.__cause__, InsulaError):  # FastAPI's word for whatever ends the reading of a body
            return await ours(request, error.__cause__)
        if isinstance(error.__cause__, RecursionError | ValueError):  # JSON too deep, no UTF-8, numbers without an end
            return await refused(request, 422, "invalid", sayings.UNREADABLE, None)
        said = {404: ("not_found", "There is no such address; see /openapi.json."),
                405: ("method", "This address does not take that method; see /openapi.json.")}  # fmt: skip
        code, message = said.get(error.status_code, ("http", str(error.detail)[:200]))
        return await refused(request, error.status_code, code, message, error.headers)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
        return await refused(request, 422, "invalid", sayings.said(error.errors()[0]), None)

    async def stored(request: Request, error: Exception) -> Response:
        known = trouble.of(error)
        if known is None:  # the shield has the last word
            raise error
        get("serve").error("trouble", code=known.fault_code, kind=type(error).__name__)
        return await ours(request, known)

    app.add_exception_handler(InsulaError, ours)
    app.add_exception_handler(OSError, stored)
    if app.state.with_records:
        from sqlalchemy.exc import SQLAlchemyError

        app.add_exception_handler(SQLAlchemyError, stored)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
