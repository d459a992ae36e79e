"""How long a log-in lasts, when an account is locked, and which issuers are believed, from the environment."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict, SettingsError

from insula.core.errors import UsageError
from insula.serve.people.issuers import Issuer
from insula.serve.secret_files import FromEnvironment
from insula.serve.settings import is_loopback


class PeopleSettings(FromEnvironment):
    """Each field is read from `INSULA_<NAME>`; issuers as a JSON list, from there alone since it may hold secrets.

    session_idle_minutes: a session ends that long after its last request. session_hours: and that long after its first.
    lock_after: failures in a row until an account is locked. lock_seconds: for how long at first; twice as long after
    each further failure. lock_most_seconds: and at most. secure_cookies: false only where a browser on this machine
    talks plain http. issuers: whose tokens are believed, as a JSON list; it may hold a client's secret.
    """

    model_config = SettingsConfigDict(env_prefix="INSULA_", extra="ignore", frozen=True, hide_input_in_errors=True)

    session_idle_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 30
    session_hours: Annotated[int, Field(ge=1, le=72)] = 12
    lock_after: Annotated[int, Field(ge=1, le=100)] = 5
    lock_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    lock_most_seconds: Annotated[int, Field(ge=1, le=24 * 3600)] = 900
    secure_cookies: bool = True
    issuers: tuple[Issuer, ...] = ()

    @model_validator(mode="after")
    def _issuers_differ(self) -> PeopleSettings:
        for values in ([i.name for i in self.issuers], [i.issuer for i in self.issuers]):
            if len(set(values)) < len(values):
                raise ValueError("two issuers have the same name or the same address")
        return self

    @property
    def idle(self) -> timedelta:
        """How long a session lasts without a request."""
        return timedelta(minutes=self.session_idle_minutes)

    @property
    def longest(self) -> timedelta:
        """How long a session lasts in all."""
        return timedelta(hours=self.session_hours)

    def locked_for(self, failures: int) -> timedelta | None:
        """How long an account is locked after so many failures in a row, None where it is not."""
        beyond = failures - self.lock_after
        if beyond < 0:
            return None
        return timedelta(seconds=min(self.lock_seconds * 2 ** min(beyond, 30), self.lock_most_seconds))


def read_people_settings(host: str = "127.0.0.1") -> PeopleSettings:
    """Settings from the environment; host: where the service listens.

    Raises UsageError, which never repeats a value: an unreadable setting, or plain cookies on an open address.
    """
    try:
        settings = PeopleSettings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = [str(part) for part in first["loc"]] or ["issuers"]
        raise UsageError(
            f"The setting '{'.'.join(place)}' is refused: {first['msg']}; change INSULA_{place[0].upper()}."
        ) from None
    except SettingsError:
        raise UsageError("INSULA_ISSUERS is no JSON list of issuers; docs/people.md shows one.") from None
    if not settings.secure_cookies and not is_loopback(host):
        raise UsageError(
            f"INSULA_SECURE_COOKIES is false and the service listens on '{host}'; plain cookies are for 127.0.0.1."
        )
    return settings
