"""Repeats of a request: an `Idempotency-Key` makes a second sending give the first one's answer.

Whoever may no longer see what the answer tells of is refused before: handlers ask for that first, then here.

As the Internet-Draft "The Idempotency-Key HTTP Header Field" proposes: the key belongs to its caller, and with another
request it is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError
from starlette.responses import JSONResponse

from insula.serve.faults import RequestError
from insula.serve.people.caller import Caller
from insula.serve.store.schema import idempotency

HEADER = "Idempotency-Key"


def key_of(request: Request) -> str:
    """The request's key, "" where it has none. Raises RequestError for one that is too long or not plain."""
    key = request.headers.get(HEADER, "")
    if len(key) > 200 or not key.isascii() or (key and not key.isprintable()):
        raise RequestError(400, "bad_key", f"{HEADER} is up to 200 printable ASCII characters; send a UUID.")
    return key


def hash_of(request: Request, content: Any) -> str:
    """SHA-256 of what is asked for: method, path, query where there is one, and content as plain data."""
    asked = [request.method, request.url.path, content, *sorted(request.query_params.multi_items())]
    text = json.dumps(asked, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def before(connection: Connection, caller: Caller, key: str, request_hash: str) -> JSONResponse | None:
    """The answer to the same request before, None where it is new. Raises RequestError 422 for another request."""
    if not key:
        return None
    table = idempotency.c
    row = connection.execute(select(idempotency).where(table.caller == caller.user_id, table.key == key)).one_or_none()
    if row is None:
        return None
    if row.request_hash != request_hash:
        raise RequestError(422, "key_reused", f"This {HEADER} came with another request before; use a new one.")
    return JSONResponse(row.body, row.status, {"Idempotent-Replay": "true"})


def keep(
    connection: Connection, caller: Caller, key: str, request_hash: str, status: int, body: Mapping[str, Any]
) -> None:
    """Keep an answer for repeats, in the transaction that made it. Raises RequestError 409 where one came first."""
    if not key:
        return
    values = {"caller": caller.user_id, "key": key, "request_hash": request_hash, "status": status, "body": dict(body)}
    try:
        connection.execute(insert(idempotency).values(values))
    except IntegrityError as error:
        raise RequestError(
            409, "at_work", f"A request with this {HEADER} is at work; send it again in a moment.", {"Retry-After": "1"}
        ) from error
