"""What a service writes beside its answers, kept: logs of every level, spans, and temporary files that stay."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from insula.core import log
from insula.serve.monitor import traces


@dataclass
class Watched:
    """What was written, by where; temporary: the folder for temporary files."""

    temporary: Path
    logs: io.StringIO = field(default_factory=io.StringIO)
    kept: dict[str, list[bytes]] = field(default_factory=dict)

    def keep(self, where: str, data: bytes | str) -> None:
        """Add something that was written."""
        self.kept.setdefault(where, []).append(data.encode() if isinstance(data, str) else data)

    def left_behind(self) -> list[str]:
        """Temporary files that nobody has taken away."""
        return [str(one.relative_to(self.temporary)) for one in self.temporary.rglob("*") if one.is_file()]


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch, folder: Path, json_lines: bool) -> Iterator[Watched]:
    """Keep logs of every level, ours and others', spans and temporary files, as long as the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    found = Watched(folder)
    before = structlog.get_config() if structlog.is_configured() else None
    log.configure(json_lines=json_lines, level="DEBUG")
    structlog.configure(logger_factory=lambda *names: structlog.PrintLogger(found.logs))
    handler, root = logging.StreamHandler(found.logs), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("httpx2"), "disabled", True)  # of the tests' own browser
    spans = InMemorySpanExporter()
    assert traces.start(spans)
    try:
        yield found
    finally:
        traces.stop()
        root.removeHandler(handler)
        root.setLevel(level)
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)
        for one in spans.get_finished_spans():
            found.keep("traces", one.to_json())
        found.keep("logs", found.logs.getvalue())
