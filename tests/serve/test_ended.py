"""A service that is asked to end does so in order, and one that starts removes what a killed one left in memory."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from insula.core import scratch
from insula.serve import run, upload
from insula.serve.app import create_app
from insula.serve.settings import Settings


def test_a_signal_that_the_server_raises_again_ends_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with run._ended_in_order():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_server_in_another_thread_leaves_signals_alone() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def serve() -> None:
        with run._ended_in_order():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert seen == [before]


def test_uploads_that_a_killed_service_left_in_memory_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / f"{scratch.PREFIX}dead" / "tmp1"
    left.mkdir(parents=True)
    (left / "upload-1").write_bytes(b"of a patient")
    monkeypatch.setattr(upload, "_MEMORY", tmp_path)
    create_app(Settings(threads=1))
    assert list(tmp_path.iterdir()) == []
