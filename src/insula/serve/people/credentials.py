"""What a request shows of who sends it: one session cookie, one API key or one bearer token, and never two of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from insula.serve.faults import RequestError
from insula.serve.people.caller import How
from insula.serve.people.cookies import cookie_name, cookies_named
from insula.serve.people.keys import START
from insula.serve.people.settings import PeopleSettings

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # methods that change nothing (RFC 9110, section 9.2.1)
CSRF: Final = "x-csrf-token"


@dataclass(frozen=True)
class Facts:
    """The facts of a request that tell who sends it, each header as often as it came. csrf: "" where none is shown."""

    method: str
    cookies: tuple[str, ...] = field(repr=False)
    authorization: tuple[str, ...] = field(repr=False)
    api_key: tuple[str, ...] = field(repr=False)
    csrf: str = field(default="", repr=False)


@dataclass(frozen=True)
class Credential:
    """The one thing that a request shows: the cookie's secret, the key, or the token."""

    how: How
    text: str = field(repr=False)


def facts_of(method: str, headers: Iterable[tuple[str, str]], csrf_field: str = "") -> Facts:
    """The facts of a request's method and headers, in any order and case; csrf_field: of a form, where there is one."""
    found: dict[str, list[str]] = {"cookie": [], "authorization": [], "x-api-key": [], CSRF: []}
    for name, value in headers:
        if name.lower() in found:
            found[name.lower()].append(value)
    token = found[CSRF][0] if len(found[CSRF]) == 1 else ""
    return Facts(
        method.upper(),
        tuple(found["cookie"]),
        tuple(found["authorization"]),
        tuple(found["x-api-key"]),
        token or csrf_field,
    )


def credential_of(facts: Facts, settings: PeopleSettings) -> Credential:
    """The credential of a request.

    Raises RequestError 401 for none, for an Authorization of another scheme than Bearer, and for two, even of the same
    kind: whoever slips a second one in must not decide which counts.
    """
    shown = [Credential("session", value) for value in cookies_named(cookie_name(settings), facts.cookies)]
    shown += [Credential("key", value.strip()) for value in facts.api_key]
    for value in facts.authorization:
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() != "bearer" or not rest.strip():
            raise _refused("The Authorization header is not 'Bearer' with a key or a token after it.")
        text = rest.strip()
        shown.append(Credential("key" if text.startswith(START) else "token", text))
    if len(shown) > 1:
        kinds = ", ".join(sorted({one.how for one in shown}))
        raise _refused(f"The request shows {len(shown)} credentials ({kinds}); send one.", "two_credentials")
    if not shown:
        raise _refused("The request shows nobody; log in, or send a key or token as 'Authorization: Bearer …'.")
    return shown[0]


def _refused(message: str, code: str = "unauthorised") -> RequestError:
    return RequestError(401, code, message, {"WWW-Authenticate": "Bearer"})
