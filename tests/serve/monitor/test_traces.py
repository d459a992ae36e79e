from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.faults import made_servers as servers

from insula import __version__
from insula.core.errors import MissingPartError
from insula.serve.monitor import traces

pytestmark = pytest.mark.serve


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    made = InMemorySpanExporter()
    assert traces.start(made)
    yield made
    traces.stop()


def test_spans_lie_within_each_other_and_carry_their_attributes(exporter: InMemorySpanExporter) -> None:
    with traces.span("request", route="/predict"), traces.span("predict", model="tiny", slices=12):
        pass
    assert traces._state["provider"].force_flush()
    inner, outer = exporter.get_finished_spans()
    assert (inner.name, dict(inner.attributes or {})) == ("predict", {"model": "tiny", "slices": 12})
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert dict(outer.attributes or {}) == {"route": "/predict"}
    assert outer.resource.attributes["service.name"] == "insula"
    assert outer.resource.attributes["service.version"] == __version__


def test_an_error_is_told_by_its_type_and_never_by_its_words(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="Anna"), traces.span("predict"):
        raise ValueError("Anna's scan")
    assert traces._state["provider"].force_flush()
    (found,) = exporter.get_finished_spans()
    assert found.status.status_code.name == "ERROR"
    assert dict(found.attributes or {}) == {"error.type": "ValueError"}
    assert "Anna" not in found.to_json()


def test_an_attribute_that_is_not_listed_is_refused_whether_tracing_is_on_or_off() -> None:
    with pytest.raises(ValueError, match="no attribute"), traces.span("predict", patient="Anna"):
        pass


def test_without_the_variable_a_span_is_nothing_and_imports_nothing() -> None:
    code = (
        "import sys\n"
        "from insula.serve.monitor import traces\n"
        "assert traces.start() is False\n"
        "with traces.span('x', model='m'):\n    pass\n"
        "traces.stop()\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={}, timeout=120)


def test_with_the_variable_tracing_is_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(traces.VARIABLE, "http://127.0.0.1:1")
    try:
        assert traces.start()
        provider = traces._state["provider"]
        assert traces.start()
        assert traces._state["provider"] is provider
    finally:
        traces.stop()
    assert not traces._state


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(traces.VARIABLE, "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(MissingPartError, match=r"insula\[traces\]"):
        traces.start()


def test_a_collector_leads_nobody_elsewhere() -> None:
    with servers.serving(servers.said(b"{}")) as other:
        for code in servers.CODES:
            with servers.serving(servers.redirect(code, f"{other.url}/inside")) as server:
                assert traces._session().post(server.url, data=b"spans", timeout=10).status_code == code
        assert other.came == 0


def test_a_collector_that_answers_without_end_fills_no_memory() -> None:
    with servers.serving(servers.endless) as server:
        answer = traces._session().post(server.url, data=b"spans", timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.content) == (200, b"")
