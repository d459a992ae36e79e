"""The four plain endpoints: one model, a scan in, an answer out, nothing kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request

from insula.serve.answers import Answer, BatchAnswer, FaultBody, Health, ModelInfo
from insula.serve.model import needed
from insula.serve.models.limit import ClientLimit
from insula.serve.models.line import Line
from insula.serve.models.loaded import Loaded
from insula.serve.settings import Settings
from insula.serve.upload import MOST_FILES, files_of, flag, form_of

FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": FaultBody} for status in (400, 401, 403, 413, 415, 422, 429, 503, 504, 507)
}
Guard = Callable[[str], dict[str, Any]]
Tell = Callable[[Request, str, int], None] | None
Model = Callable[[], Awaitable[Loaded | None]]


def admit(request: Request, line: Line, limit: ClientLimit) -> None:
    """Refuse before the body is read. Raises RequestError 429 and 503."""
    line.check()
    limit.take(request.client.host if request.client else "")


def routes(
    settings: Settings, model: Model, line: Line, limit: ClientLimit, guard: Guard, tell: Tell, health_of: Model
) -> APIRouter:
    """`/health`, `/model_info`, `/predict`, `/batch_predict`.

    guard: what a route needs before its handler runs, by permission ("open" for anybody), as arguments of the router.
    tell: called with the number of scans before an answer leaves; None where nothing is kept. health_of: as `model`,
    and never slow.
    """
    made = APIRouter(tags=["plain"])

    @made.get("/health", **guard("open"))
    async def health() -> Health:
        """Whether the service is up, with its records, and has a model; needs no key."""
        return Health(status="ok", model_loaded=await health_of() is not None)

    made.head("/health", include_in_schema=False, **guard("open"))(health)  # as many who watch over services ask

    @made.get("/model_info", responses=FAULTS, **guard("model.read"))
    async def model_info() -> ModelInfo:
        """What is loaded."""
        return needed(await model()).info()

    @made.post(
        "/predict",
        responses=FAULTS,
        response_model=Answer,
        response_model_exclude_unset=True,
        **_with_form(guard("study.predict"), "file"),
    )
    async def predict(request: Request) -> Any:
        """Predict one scan: a file, or the files of one series under the repeated field `file`."""
        served = needed(await model())
        admit(request, line, limit)
        async with form_of(request, MOST_FILES) as form:
            files, wanted = files_of(form, "file"), flag(request, form, "uncertainty")
            result = await line.run_for(request, served.run, files, wanted)
            if tell is not None:
                await line.run_for(request, tell, request, served.bundle.id, 1)
        return served.answer(result, wanted)

    @made.post(
        "/batch_predict",
        responses=FAULTS,
        response_model=BatchAnswer,
        response_model_exclude_unset=True,
        **_with_form(guard("study.predict"), "files"),
    )
    async def batch_predict(request: Request) -> Any:
        """Predict several scans, one file each; a file that fails gets its error and the others their answers."""
        served = needed(await model())
        admit(request, line, limit)
        async with form_of(request, settings.max_batch) as form:
            files, wanted = files_of(form, "files"), flag(request, form, "uncertainty")
            items = [await line.run_for(request, served.batch_item, file, wanted) for file in files]
            if tell is not None:
                await line.run_for(request, tell, request, served.bundle.id, len(items))
        return BatchAnswer(results=items)

    return made


def _with_form(given: dict[str, Any], field: str) -> dict[str, Any]:
    return {**given, "openapi_extra": {**_form(field), **given.get("openapi_extra", {})}}


def _form(field: str) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "string", "format": "binary"}
    flag_schema = {"type": "boolean", "default": False, "description": "Add the spread over dropout passes."}
    fields = {field: {"type": "array", "items": one}, "uncertainty": flag_schema}
    schema = {"type": "object", "required": [field], "properties": fields}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
        "parameters": [{"name": "uncertainty", "in": "query", "required": False, "schema": flag_schema}],
    }
