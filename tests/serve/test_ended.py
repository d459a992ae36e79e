"""A service that is asked to end does so in order, and one that starts removes what a killed one left in memory."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path

import pytest

from insula.cli.serve import _told
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


def test_first_hour_a_service_that_ended_says_so_and_names_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(server: run._Server, sockets: list[socket.socket]) -> None:
        server.started = True
        server._ready()
        raise KeyboardInterrupt

    monkeypatch.setattr(run._Server, "run", ended)
    monkeypatch.setattr(run, "create_app", lambda _: None)
    lines: list[str] = []
    run.listen(Settings(port=0), lambda said: lines.append(_told(said)))
    first, last = lines
    assert first.startswith("Insula listens on http://127.0.0.1:")
    assert last == "Insula has ended: it was asked to."


def test_uploads_that_a_killed_service_left_in_memory_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / f"{scratch.PREFIX}dead" / "tmp1"
    left.mkdir(parents=True)
    (left / "upload-1").write_bytes(b"of a patient")
    monkeypatch.setattr(upload, "_MEMORY", tmp_path)
    create_app(Settings(threads=1))
    assert list(tmp_path.iterdir()) == []
