"""Where the service listens and how much it takes, from the environment (`INSULA_…`)."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from insula.core.errors import UsageError


class Settings(BaseSettings):
    """Each field is read from `INSULA_<NAME>`; the key from there alone, so that no process list shows it.

    max_upload_mb: of one request in all. max_batch: scans of one batch request. threads: of one prediction, 0 for the
    runtime's choice. queue: requests that may wait while another one is worked on.
    """

    model_config = SettingsConfigDict(env_prefix="INSULA_", extra="ignore", frozen=True)

    bundle: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    max_upload_mb: Annotated[int, Field(ge=1, le=16384)] = 256
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 16
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    queue: Annotated[int, Field(ge=0, le=1024)] = 8
    api_key: SecretStr | None = None

    @property
    def key(self) -> str:
        """The key that requests have to show, "" when there is none."""
        return self.api_key.get_secret_value() if self.api_key else ""

    @property
    def max_bytes(self) -> int:
        """Longest request body in bytes."""
        return self.max_upload_mb << 20


def read_settings(**given: object) -> Settings:
    """Settings from the environment, with what the command line gave on top; UsageError names a wrong value."""
    try:
        settings = Settings(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(p) for p in first["loc"])
        raise UsageError(f"The setting '{name}' is refused: {first['msg']}; change INSULA_{name.upper()}.") from error
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Refuse an address that others can reach without a key, and a key that is too short to be one."""
    if not settings.key and not is_loopback(settings.host):
        raise UsageError(
            f"The address '{settings.host}' can be reached from other machines and no key is set; "
            "set INSULA_API_KEY, or listen on 127.0.0.1."
        )
    if settings.key and (len(settings.key) < 16 or not settings.key.isascii() or not settings.key.isprintable()):
        raise UsageError(
            f"INSULA_API_KEY has {len(settings.key)} characters, and a key is 16 or more plain ones; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'."
        )


def is_loopback(host: str) -> bool:
    """Whether an address reaches no further than this machine."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
