"""`insula worker` as a process's own command: how it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from insula.cli.worker import worker
from insula.serve import service, settings, work


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    kept = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
    yield
    for sign, handler in kept.items():
        signal.signal(sign, handler)


def test_a_worker_that_is_told_to_end_while_it_opens_its_records_ends_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []

    def opened(*_: Any) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return object()

    @contextmanager
    def at_work(*given: Any) -> Iterator[None]:
        begun.append(given)
        yield

    monkeypatch.setattr("insula.core.log.configure", lambda **_: None)  # else of all tests that come after
    monkeypatch.setattr(settings, "read_settings", lambda **_: SimpleNamespace(database="sqlite://"))
    monkeypatch.setattr("insula.serve.model.pool_of", lambda _: None)
    monkeypatch.setattr("insula.serve.model.line_of", lambda _: None)
    monkeypatch.setattr(service, "open_service", opened)
    monkeypatch.setattr(work, "at_work", at_work)
    found = CliRunner().invoke(worker, [])
    assert (found.exit_code, found.output, begun) == (0, "", [])
