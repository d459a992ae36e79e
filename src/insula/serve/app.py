"""The service: routes over one model, all of them behind the shield."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from insula import __version__
from insula.core.errors import InsulaError
from insula.serve import faults, pages
from insula.serve.answers import INTENDED_USE, Answer, BatchAnswer, FaultBody, Health, ModelInfo
from insula.serve.gate import Gate
from insula.serve.model import needed, open_model
from insula.serve.settings import Settings, check
from insula.serve.shield import Shield
from insula.serve.upload import MOST_FILES, files_of, flag, form_of

_FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": FaultBody} for status in (400, 401, 403, 413, 415, 422, 503)
}


def create_app(settings: Settings) -> FastAPI:
    """The application. The bundle is verified, loaded and warmed here, so that a wrong one fails before listening.

    Raises UsageError for an open address without a key, BundleError for a bundle that is refused.
    """
    check(settings)
    model = open_model(settings)
    gate = Gate(settings.workers, settings.queue)
    app = FastAPI(
        title="Insula",
        version=__version__,
        description=INTENDED_USE,
        docs_url=None,  # the pages behind these two load scripts from a third party
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.add_middleware(Shield, settings=settings)
    _add_handlers(app)

    @app.get("/health")
    async def health() -> Health:
        """Whether the service is up and has a model; needs no key."""
        return Health(status="ok", model_loaded=model is not None)

    @app.get("/model_info", responses=_FAULTS)
    async def model_info() -> ModelInfo:
        """What is loaded."""
        return needed(model).info()

    @app.post(
        "/predict",
        responses=_FAULTS,
        response_model=Answer,
        response_model_exclude_unset=True,
        openapi_extra=_form("file", several=True),
    )
    async def predict(request: Request) -> Any:
        """Predict one scan: a file, or the files of one series under the repeated field `file`."""
        served = needed(model)
        gate.check()
        async with form_of(request, MOST_FILES) as form:
            files, wanted = files_of(form, "file"), flag(request, form, "uncertainty")
            result = await gate.run(served.run, files, wanted)
        return served.answer(result, wanted)

    @app.post(
        "/batch_predict",
        responses=_FAULTS,
        response_model=BatchAnswer,
        response_model_exclude_unset=True,
        openapi_extra=_form("files", several=True),
    )
    async def batch_predict(request: Request) -> Any:
        """Predict several scans, one file each; a file that fails gets its error and the others their answers."""
        served = needed(model)
        gate.check()
        async with form_of(request, settings.max_batch) as form:
            files, wanted = files_of(form, "files"), flag(request, form, "uncertainty")
            items = [await gate.run(served.batch_item, file, wanted) for file in files]
        return BatchAnswer(results=items)

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
            gate.check()
            async with form_of(request, MOST_FILES) as form:
                files, wanted = files_of(form, "file"), flag(request, form, "uncertainty")
                result = await gate.run(served.run, files, wanted)
                drawn = await gate.run(served.overlay, result)
        except InsulaError as error:
            headers = error.headers if isinstance(error, faults.RequestError) else {}
            return HTMLResponse(pages.page(info, error=faults.fault(error)), faults.status_of(error), headers)
        return HTMLResponse(pages.page(info, answer=served.answer(result, wanted), drawn=drawn))

    @app.get("/insula.css", include_in_schema=False)
    async def style() -> Response:
        """The page's one style sheet."""
        return Response(pages.style(), media_type="text/css")

    return app


def _add_handlers(app: FastAPI) -> None:
    async def ours(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, InsulaError)  # noqa: S101 - registered for this type alone
        return faults.of_error(error)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
        said = {404: ("not_found", "There is no such address; see /openapi.json."),
                405: ("method", "This address does not take that method; see /openapi.json.")}  # fmt: skip
        code, message = said.get(error.status_code, ("http", str(error.detail)[:200]))
        return faults.response(error.status_code, code, message, error.headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        return faults.response(422, "invalid", "The request has fields of the wrong kind; see /openapi.json.")

    app.add_exception_handler(InsulaError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _form(field: str, several: bool) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "string", "format": "binary"}
    files = {"type": "array", "items": one} if several else one
    flag_schema = {"type": "boolean", "default": False, "description": "Add the spread over dropout passes."}
    schema = {"type": "object", "required": [field], "properties": {field: files, "uncertainty": flag_schema}}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
        "parameters": [{"name": "uncertainty", "in": "query", "required": False, "schema": flag_schema}],
    }
