"""Asking an issuer: one short request to a configured address, with a limit on time and on size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from threading import BoundedSemaphore
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from insula.core.log import get
from insula.serve.faults import RequestError
from insula.serve.outward import Bounded
from insula.serve.settings import is_loopback

SECONDS: Final = 5.0  # to connect, and between two pieces of the answer
SECONDS_IN_ALL: Final = 15.0
LARGEST: Final = 256 * 1024
BUSY: Final = "issuer_busy"
_AT_ONCE: Final = BoundedSemaphore(8)  # anybody may begin a log-in, and an issuer that is slow holds a thread for each


def fetch_json(
    address: str, form: Mapping[str, str] | None = None, basic: tuple[str, str] | None = None
) -> dict[str, Any]:
    """The JSON object at an address; a form is posted, with a client's name and secret where they are given.

    No redirect is followed, nothing is unpacked, and a proxy of the environment is used for other machines alone.
    Raises RequestError 503 where there is no answer of status 200 in time, or it is too large, or no JSON object; 401
    where a form is answered by 400 or 401 (RFC 6749, section 5.2); 503 too while others wait for an issuer already.
    """
    if not _AT_ONCE.acquire(blocking=False):
        raise RequestError(503, BUSY, "Other log-ins wait for the issuer; try again in a moment.", {"Retry-After": "5"})
    try:
        return _fetched(address, form, basic)
    finally:
        _AT_ONCE.release()


def _fetched(address: str, form: Mapping[str, str] | None, basic: tuple[str, str] | None) -> dict[str, Any]:
    parts = urlsplit(address)
    host = parts.hostname or ""
    proxy = _proxy(parts.scheme, host)
    trusted = httpx.create_ssl_context() if parts.scheme == "https" or proxy.startswith("https") else None
    try:
        with (
            httpx.Client(
                transport=Bounded(SECONDS_IN_ALL, trusted, proxy=proxy),
                timeout=SECONDS,
                trust_env=False,
            ) as client,
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
            for piece in answer.iter_raw():
                body += piece
                if len(body) > LARGEST:
                    raise _unreachable(host, "the answer is too large")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(host, type(error).__name__) from error
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _unreachable(host, "the answer is no JSON") from error
    if not isinstance(found, dict):
        raise _unreachable(host, "the answer is no JSON object")
    return found


def _proxy(scheme: str, host: str) -> str:
    """The proxy that the environment names, "" for none; one that is named without a scheme speaks HTTP."""
    if is_loopback(host) or proxy_bypass(host):
        return ""
    known = getproxies()
    found = known.get(scheme) or known.get("all", "")
    return found if "://" in found or not found else f"http://{found}"


def _unreachable(host: str, why: str) -> RequestError:
    get("people").warning("issuer", host=host, why=why)
    return RequestError(
        503,
        "issuer_unreachable",
        "The issuer of the log-in does not answer as it should; try again in a minute.",
        {"Retry-After": "60"},
    )
