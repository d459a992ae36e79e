"""Asking an issuer: one short request to a configured address, with a limit on time and on size."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from insula.core.log import get
from insula.serve.faults import RequestError
from insula.serve.settings import is_loopback

SECONDS: Final = 5.0  # to connect, and between two pieces of the answer
SECONDS_IN_ALL: Final = 15.0
LARGEST: Final = 256 * 1024


def fetch_json(
    address: str, form: Mapping[str, str] | None = None, basic: tuple[str, str] | None = None
) -> dict[str, Any]:
    """The JSON object at an address; a form is posted, with a client's name and secret where they are given.

    No redirect is followed, nothing is unpacked, and a proxy of the environment is used for other machines alone.
    Raises RequestError 503 where there is no answer of status 200 in time, or it is too large, or no JSON object; 401
    where a form is answered by 400 or 401 (RFC 6749, section 5.2).
    """
    host = urlsplit(address).hostname or ""
    until = time.monotonic() + SECONDS_IN_ALL
    try:
        with (
            httpx.Client(timeout=SECONDS, trust_env=not is_loopback(host)) as client,
            client.stream(
                "GET" if form is None else "POST",
                address,
                data=None if form is None else dict(form),
                auth=None if basic is None else httpx.BasicAuth(*basic),
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            ) as answer,
        ):
            if form is not None and answer.status_code in (400, 401):
                raise RequestError(401, "log_in_refused", "The log-in is refused by its issuer; begin it again.")
            if answer.status_code != 200:
                raise _unreachable(host, f"status {answer.status_code}")
            body = b""
            for piece in answer.iter_raw(16 * 1024):
                body += piece
                if len(body) > LARGEST or time.monotonic() > until:
                    raise _unreachable(host, "the answer is too large or too slow")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(host, type(error).__name__) from error
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _unreachable(host, "the answer is no JSON") from error
    if not isinstance(found, dict):
        raise _unreachable(host, "the answer is no JSON object")
    return found


def _unreachable(host: str, why: str) -> RequestError:
    get("people").warning("issuer", host=host, why=why)
    return RequestError(
        503,
        "issuer_unreachable",
        "The issuer of the log-in does not answer as it should; try again in a minute.",
        {"Retry-After": "60"},
    )
