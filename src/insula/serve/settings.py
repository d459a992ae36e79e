"""Where the service listens and how much it takes, from the environment (`INSULA_…`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from insula.core.errors import UsageError
from insula.core.loopback import is_loopback as is_loopback
from insula.serve.secret_files import FromEnvironment


class Settings(FromEnvironment):
    """Each field is read from `INSULA_<NAME>` or its file; keys from there alone, so that no process list shows them.

    bundle: the folder of the model, where none is given on the command line. host, port: where to listen; port 0 for
    any free one. max_upload_mb: of one request in all. max_batch: scans of one batch request. threads: of one
    prediction, 0 for the runtime's choice. workers: cases at work at a time, 0 for twice the cores and two, 32 at most.
    queue: requests that may wait while another one is worked on. company_ms: how long a case may wait for others that
    share its call of the network. per_minute: requests that one client may send in a minute, 0 for no limit. burst: and
    at once. wait_seconds: the most for a place in the queue. read_seconds: the most for reading and preparation.
    engine_seconds: the most for the network. api_key: that requests have to show, of 16 characters or more. database:
    address of the records. files: the folder or address (s3://…) under which uploads and what is made of them lie.
    trail_key: secret of the audit trail. trail_heads: where its signed heads are kept, a file or an address of fsspec.
    summary_url, summary_model: a language model behind an OpenAI-compatible address that may phrase summaries, asked
    only where both are set. summary_key: its key, where it needs one. summary_timeout: seconds for one summary or
    question in all. models: the folder below which an administrator may add bundles. runs: the folder below which
    training runs lie, to be looked at. jobs: how many jobs this process works on at once, 0 to leave them to workers.
    hosts: the names under which the service answers, separated by commas, where it keeps records.
    """

    model_config = SettingsConfigDict(env_prefix="INSULA_", extra="ignore", frozen=True)

    bundle: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    max_upload_mb: Annotated[int, Field(ge=1, le=16384)] = 256
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 16
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    queue: Annotated[int, Field(ge=0, le=1024)] = 32
    company_ms: Annotated[float, Field(ge=0, le=1000)] = 5.0
    per_minute: Annotated[float, Field(ge=0)] = 0.0
    burst: Annotated[int, Field(ge=1, le=100_000)] = 60
    wait_seconds: Annotated[float, Field(gt=0)] = 60.0
    read_seconds: Annotated[float, Field(gt=0)] = 150.0
    engine_seconds: Annotated[float, Field(gt=0)] = 120.0
    api_key: SecretStr | None = None
    summary_url: str = ""
    summary_model: str = ""
    summary_key: SecretStr | None = None
    summary_timeout: Annotated[float, Field(gt=0.0, le=120.0)] = 20.0
    database: str = ""
    files: str = ""
    trail_key: SecretStr | None = None
    trail_heads: str = ""
    models: Path | None = None
    runs: Path | None = None
    jobs: Annotated[int, Field(ge=0, le=64)] = 1
    hosts: str = ""

    @property
    def key(self) -> str:
        """The key that requests have to show, "" when there is none."""
        return self.api_key.get_secret_value() if self.api_key else ""

    @property
    def names(self) -> frozenset[str]:
        """The host names under which the service answers."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())

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
    if not settings.key and not settings.database and not is_loopback(settings.host):
        raise UsageError(
            f"The address '{settings.host}' can be reached from other machines and no key is set; "
            "set INSULA_API_KEY, keep records with people who log in (INSULA_DATABASE), or listen on 127.0.0.1."
        )
    if settings.key and (len(settings.key) < 16 or not settings.key.isascii() or not settings.key.isprintable()):
        raise UsageError(
            f"INSULA_API_KEY has {len(settings.key)} characters, and a key is 16 or more plain ones; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'."
        )
