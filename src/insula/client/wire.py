"""Sending requests: once more where that is safe, within bounds, and errors as the service words them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import SystemRandom
from typing import Any, Final, NoReturn

import httpx

from insula import __version__
from insula.client.errors import RemoteError, UnreachableError
from insula.client.form import Form

LONGEST_PAUSE: Final = 60.0  # seconds; a service that asks for more gets no further try
_FIRST_PAUSE, _MOST_BACKOFF = 0.5, 8.0
_CONNECT: Final = 10.0  # seconds until a connection has to stand
_chance = SystemRandom().random


@dataclass(frozen=True)
class Request:
    """One request. again: whether it may be sent once more when its answer was lost, because twice is as good as once.

    seconds: longest silence of the service, beside the client's own; a form's bytes come anew from disk at every try.
    """

    method: str
    path: str
    again: bool
    params: Mapping[str, str | int | float | bool] | None = None
    json: Any = None
    form: Form | None = None
    headers: Mapping[str, str] | None = None
    seconds: float = 0.0


class Wire:
    """The connections to one service. Every failure is a RemoteError."""

    def __init__(
        self,
        address: str,
        key: str,
        timeout: float,
        tries: int,
        sleep: Callable[[float], None],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._timeout, self._tries, self._sleep = timeout, tries, sleep
        headers = {"User-Agent": f"insula-client/{__version__}", "Accept": "*/*"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.Client(
            base_url=address,
            headers=headers,
            follow_redirects=False,
            verify=True,
            trust_env=address.startswith("https:"),  # a proxy of the environment would read the key of plain http
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(self, request: Request) -> httpx.Response:
        """The answer, read to its end."""
        with self.stream(request) as answer:
            return answer

    @contextmanager
    def stream(self, request: Request, whole: bool = True) -> Iterator[httpx.Response]:
        """The answer; whole: read to its end, and asked for again where it breaks off before that."""
        answer = self._answer(request, whole)
        try:
            yield answer
        except httpx.TransportError as error:
            raise _lost(error, 1) from error
        finally:
            answer.close()

    def _answer(self, request: Request, whole: bool) -> httpx.Response:
        tried = 0
        while True:
            tried += 1
            try:
                answer = self._once(request)
                if whole or not answer.is_success:
                    answer.read()
            except httpx.TransportError as error:
                if not request.again or tried >= self._tries or not _may_pass(error):
                    raise _lost(error, tried) from error
                pause = _backoff(tried)
            except httpx.HTTPError as error:
                raise UnreachableError(f"The service's answer cannot be read ({type(error).__name__}).") from error
            else:
                if answer.is_success:
                    return answer
                asked = _retry_after(answer)
                pause = _backoff(tried) if asked is None else asked
                if tried >= self._tries or pause > LONGEST_PAUSE or not _is_passing(answer):
                    _refuse(answer)
            self._sleep(pause)

    def _once(self, request: Request) -> httpx.Response:
        headers = dict(request.headers or {})
        content = None
        if request.form is not None:
            headers |= {"Content-Type": request.form.content_type, "Content-Length": str(request.form.length)}
            content = request.form.blocks()
        silence = self._timeout + request.seconds
        made = self._client.build_request(
            request.method,
            request.path,
            params=request.params,
            json=request.json,
            content=content,
            headers=headers,
            timeout=httpx.Timeout(silence, connect=min(_CONNECT, silence)),
        )
        return self._client.send(made, stream=True)


def _backoff(tried: int) -> float:
    longest = min(_MOST_BACKOFF, _FIRST_PAUSE * 2.0 ** (tried - 1))
    return longest * (0.5 + 0.5 * _chance())


def _may_pass(error: httpx.TransportError) -> bool:
    """Whether another try could do better: not where the service's certificate is wrong or the request itself is."""
    return not isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol) and not _untrusted(error)


def _untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _lost(error: httpx.TransportError, tried: int) -> UnreachableError:
    if _untrusted(error):
        return UnreachableError(
            "The service's certificate is not trusted here; name its authority's file in SSL_CERT_FILE."
        )
    what = "gave no answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
    tries = f" in {tried} tries" if tried > 1 else ""
    return UnreachableError(
        f"The service {what}{tries} ({type(error).__name__}); check its address and whether it runs."
    )


def _is_passing(answer: httpx.Response) -> bool:
    """Whether a refusal is one that passes: too many requests, no place, the same request still at work."""
    return answer.status_code in (429, 503) or (answer.status_code == 409 and _said(answer)[0] == "at_work")


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the service asks to wait for (RFC 9110, section 10.2.3), None where it does not say."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _refuse(answer: httpx.Response) -> NoReturn:
    status = answer.status_code
    if 300 <= status < 400:
        raise RemoteError(status, "redirect", "It points to another address; give the service's own.")
    code, detail = _said(answer)
    raise RemoteError(status, code, detail)


def _said(answer: httpx.Response) -> tuple[str, str]:
    """Code and sentence of a refusal: problem details (RFC 9457) of /api/v1, or the plain endpoints' `error`."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    plain = body.get("error")
    code, detail = (plain.get("code"), plain.get("message")) if isinstance(plain, dict) else (None, None)
    code, detail = body.get("code", code), body.get("detail", detail)
    if not isinstance(code, str) or not isinstance(detail, str):
        return "http", "It says no more; is the address that of an Insula service?"
    return _plain(code)[:60], _plain(detail)[:2000]


def _plain(text: str) -> str:
    """Without what a terminal would take for a command."""
    return "".join(c if c.isprintable() else " " for c in text)
