"""A language model behind an OpenAI-compatible address: what is sent, how long it may take, what may come back."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from insula.core.errors import MissingPartError, UsageError
from insula.core.loopback import is_web_address
from insula.serve.settings import Settings, is_loopback

T = TypeVar("T", bound=BaseModel)
Rung = Literal["json_schema", "json_object"]
RUNGS: Final[tuple[Rung, ...]] = ("json_schema", "json_object")
Failure = Literal["timeout", "unreachable", "status", "too_long", "not_json"]
MOST_BYTES: Final = 1 << 18
_NOT_TAKEN: Final = frozenset({400, 404, 415, 422, 501})  # how servers say that they do not know a response format


@dataclass(frozen=True)
class Endpoint:
    """Where the model is: address up to `/v1`, its name, a key or "", and seconds for one call with all its tries."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 20.0


@dataclass(frozen=True)
class Reply(Generic[T]):
    """What came back, by which response format; or why nothing did (status: that of the HTTP answer)."""

    value: T | None
    rung: Rung | None = None
    failure: Failure | None = None
    status: int | None = None


def endpoint_of(settings: Settings) -> Endpoint | None:
    """The model that the settings name; None where they name none, which is the rule.

    Raises UsageError where only one of address and name is set, for an address that is no http or https one or holds a
    password, and for a key over plain http to another machine; MissingPartError without the package `openai`.
    """
    url, model = settings.summary_url, settings.summary_model
    if not url and not model:
        return None
    if not url or not model:
        raise UsageError("INSULA_SUMMARY_URL and INSULA_SUMMARY_MODEL go together; set both, or neither.")
    parts = urlsplit(url if is_web_address(url) else "")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise UsageError(
            "INSULA_SUMMARY_URL is no address such as https://HOST/v1; the key goes to INSULA_SUMMARY_KEY."
        )
    key = settings.summary_key.get_secret_value() if settings.summary_key else ""
    if key and parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError("INSULA_SUMMARY_KEY would go over plain http to another machine; give an https address.")
    _package()
    return Endpoint(url, model, key, settings.summary_timeout)


def ask(endpoint: Endpoint, rules: str, sent: Mapping[str, Any], shape: type[T]) -> Reply[T]:
    """What the model answers to rules and data, as `shape`: first by a JSON schema, then as any JSON, then not at all.

    The next rung is tried where the server does not take the format or the answer is not of the shape; every other
    failure ends it. All tries together end after `endpoint.timeout` seconds. At most MOST_BYTES are read, no redirect
    is followed, no proxy of the environment is used. Call it outside of an event loop.

    Raises MissingPartError without the package `openai`.
    """
    _package()
    loop = asyncio.new_event_loop()  # `asyncio.run` would wait in the end for a name that is still being looked up
    try:
        return loop.run_until_complete(asyncio.wait_for(_climb(endpoint, rules, sent, shape), endpoint.timeout))
    except TimeoutError:
        return Reply(None, failure="timeout")
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class _TooLongError(Exception):
    pass


class _StatusError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


class Shape(BaseModel):
    """A body that a model has to answer with; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _package() -> Any:
    try:
        return importlib.import_module("openai")
    except ImportError as error:
        raise MissingPartError("The package openai is missing; run: pip install 'insula[summary]'.") from error


async def _climb(endpoint: Endpoint, rules: str, sent: Mapping[str, Any], shape: type[T]) -> Reply[T]:
    openai = _package()
    reply: Reply[T] = Reply(None, failure="not_json")
    http = openai.DefaultAsyncHttpxClient(
        follow_redirects=False,
        trust_env=False,
        verify=_trusted(),
        event_hooks={"response": [_only_success]},
        timeout=endpoint.timeout,
    )
    async with openai.AsyncOpenAI(
        api_key=endpoint.key or "none", base_url=endpoint.url, max_retries=0, http_client=http
    ) as client:
        for rung in RUNGS:
            try:
                text = await _once(client, openai.Omit(), endpoint, rules, sent, shape, rung)
                return Reply(shape.model_validate_json(text), rung)
            except (ValidationError, ValueError):
                reply = Reply(None, rung, "not_json")
            except _TooLongError:
                return Reply(None, rung, "too_long")
            except _StatusError as error:
                reply = Reply(None, rung, "status", error.status)
                if error.status not in _NOT_TAKEN:
                    return reply
            except (openai.OpenAIError, *_broken()) as error:
                late = isinstance(error, openai.APITimeoutError) or "Timeout" in type(error).__name__
                return Reply(None, rung, "timeout" if late else "unreachable")
    return reply


async def _once(
    client: Any, omit: Any, endpoint: Endpoint, rules: str, sent: Mapping[str, Any], shape: type[T], rung: Rung
) -> str:
    """The model's text, "" for a refusal or one that was cut short."""
    messages: Sequence[Mapping[str, str]] = (
        {"role": "system", "content": rules},
        {"role": "user", "content": json.dumps(sent, ensure_ascii=False)},
    )
    schema = {"name": shape.__name__.lower(), "strict": True, "schema": shape.model_json_schema()}
    wanted: dict[str, Any] = {"type": rung} | ({"json_schema": schema} if rung == "json_schema" else {})
    headers = {"Accept-Encoding": "identity", "OpenAI-Organization": omit, "OpenAI-Project": omit}
    if not endpoint.key:
        headers["Authorization"] = omit
    create = client.chat.completions.with_streaming_response.create
    async with create(
        model=endpoint.model, messages=list(messages), response_format=wanted, extra_headers=headers
    ) as response:
        body = b""
        async for part in response.iter_bytes(1 << 14):
            body += part
            if len(body) > MOST_BYTES:
                raise _TooLongError
    choice = _Completion.model_validate_json(body).choices[0]
    whole = choice.finish_reason in (None, "stop") and not choice.message.refusal
    return (choice.message.content or "") if whole else ""


async def _only_success(response: Any) -> None:
    """Refuse, before any of the body is read, an error, whose body may be of any length, and a packed body."""
    if response.status_code != 200:
        raise _StatusError(response.status_code)
    if response.headers.get("content-encoding", "identity") != "identity":
        raise _StatusError(406)


@cache
def _broken() -> tuple[type[Exception], ...]:
    """What is raised where a connection breaks while a body is read, by the transport of either release of openai."""
    held = (importlib.util.find_spec(name) and importlib.import_module(name) for name in ("httpx", "httpx2"))
    return tuple(module.HTTPError for module in held if module)


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that this machine trusts, read once."""
    return ssl.create_default_context()
