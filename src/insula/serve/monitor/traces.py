"""Traces for OpenTelemetry, off unless OTEL_EXPORTER_OTLP_ENDPOINT is set; nothing is imported until then."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from insula import __version__
from insula.core.errors import MissingPartError

VARIABLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
# what a span may tell; values that name a patient, a person or a file have no place among these
ATTRIBUTES: Final = frozenset(
    {"route", "status", "model", "arm", "action", "kind", "slices", "files", "attempt", "bytes"}
)
_state: dict[str, Any] = {}


def start(exporter: Any = None) -> bool:
    """Set up tracing once, where the variable is set or an exporter is given; whether it is on.

    Spans are sent over HTTP by OpenTelemetry's own exporter, which reads the rest of its variables itself. Raises
    MissingPartError where the variable is set and the packages are not installed.
    """
    if _state or (exporter is None and not os.environ.get(VARIABLE)):
        return bool(_state)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingPartError(
            f"{VARIABLE} is set and OpenTelemetry is missing; run: pip install 'insula[traces]'."
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": "insula", "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter(session=_session())))
    _state.update(provider=provider, tracer=provider.get_tracer("insula", __version__))
    return True


def _session() -> Any:
    """A session of requests that follows no redirect and reads no body: the exporter would read one without end."""
    import requests
    from requests.adapters import HTTPAdapter

    class WithoutBody(HTTPAdapter):
        def send(self, *args: Any, **given: Any) -> requests.Response:
            answer = super().send(*args, **given)
            answer.raw.close()
            answer.raw = io.BytesIO()
            return answer

    class Straight(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            return None

    made = Straight()
    made.mount("http://", WithoutBody())
    made.mount("https://", WithoutBody())
    return made


def stop() -> None:
    """Send what is left and end tracing."""
    if _state:
        _state.pop("provider").shutdown()
        _state.clear()


@contextmanager
def span(name: str, **attributes: str | int | float | bool) -> Iterator[None]:
    """A span around a block, within the one that is open; nothing at all where tracing is off.

    An error sets the span's status and the error's type, never its message. Raises ValueError for an attribute that is
    not in ATTRIBUTES.
    """
    if unknown := set(attributes) - ATTRIBUTES:
        raise ValueError(f"a span has no attribute {sorted(unknown)}; write one of {sorted(ATTRIBUTES)}")
    if not _state:
        yield
        return
    from opentelemetry.trace import StatusCode

    opened = _state["tracer"].start_as_current_span(
        name, attributes=attributes, record_exception=False, set_status_on_exception=False
    )
    with opened as current:
        try:
            yield
        except BaseException as error:
            current.set_status(StatusCode.ERROR)
            current.set_attribute("error.type", type(error).__name__)
            raise
