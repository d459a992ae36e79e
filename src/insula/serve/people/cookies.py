"""The session's cookie: how it is written, and what is read of the cookies that a browser sends."""

from __future__ import annotations

from collections.abc import Iterable

from insula.serve.people.settings import PeopleSettings


def cookie_name(settings: PeopleSettings, kind: str = "insula") -> str:
    """`__Host-insula`, taken over https and for this host alone (RFC 6265bis); or the name without the prefix."""
    return f"__Host-{kind}" if settings.secure_cookies else kind


def session_cookie(secret: str, settings: PeopleSettings) -> str:
    """The value of Set-Cookie for a new session: not for scripts, not for requests that other sites begin."""
    return f"{cookie_name(settings)}={secret}{_attributes(settings, 'Strict')}"


def ended_cookie(settings: PeopleSettings) -> str:
    """The value of Set-Cookie that makes a browser forget its session."""
    return f"{cookie_name(settings)}={_attributes(settings, 'Strict')}; Max-Age=0"


def passing_cookie(kind: str, value: str, seconds: int, settings: PeopleSettings) -> str:
    """A cookie of a log-in under way at an issuer, whose answer another site begins; 0 seconds to forget it."""
    return f"{cookie_name(settings, kind)}={value}{_attributes(settings, 'Lax')}; Max-Age={seconds}"


def known_cookie(kind: str, value: str, seconds: int, settings: PeopleSettings) -> str:
    """A cookie that stays when its session has ended, for the next log-in of the same browser (`people.known`)."""
    return f"{cookie_name(settings, kind)}={value}{_attributes(settings, 'Strict')}; Max-Age={seconds}"


def cookies_named(name: str, headers: Iterable[str]) -> tuple[str, ...]:
    """The values of all cookies of a name in Cookie headers; more than one where somebody has planted another."""
    pairs = (pair.strip().partition("=") for header in headers for pair in header.split(";"))
    return tuple(value.strip() for key, _, value in pairs if key.strip() == name)


def _attributes(settings: PeopleSettings, same_site: str) -> str:
    return f"; Path=/; HttpOnly; SameSite={same_site}{'; Secure' if settings.secure_cookies else ''}"
