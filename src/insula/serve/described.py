"""`/openapi.json`, written out once: made anew for each who asks, its megabyte would keep all others waiting."""

from __future__ import annotations

import threading
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

PATH: Final = "/openapi.json"


def add_description(app: FastAPI) -> None:
    """Add the route; what `app.openapi` gives when it is first asked for is what it goes on to say."""
    lock = threading.Lock()
    kept: list[bytes] = []

    def written() -> bytes:
        with lock:
            if not kept:
                kept.append(bytes(JSONResponse(app.openapi()).body))
        return kept[0]

    async def description(request: Request) -> Response:
        made = kept[0] if kept else await run_in_threadpool(written)  # the first time takes a second of the loop's
        return Response(made, media_type="application/json")

    app.add_route(PATH, description, include_in_schema=False)
