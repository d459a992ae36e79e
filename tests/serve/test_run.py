"""A service that listens: every line of its log is one of its own, whatever strangers send."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from insula.bundle.types import Bundle
from insula.core import log
from insula.serve import run
from insula.serve.settings import Settings

pytestmark = pytest.mark.serve
UPGRADE = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n"
FORM = (
    b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=abc\r\n"
    b"Content-Length: 12\r\nConnection: close\r\n\r\n--0DoeJane\r\n"
)


def asked(port: int, sent: bytes) -> bytes:
    """What a server says until it closes the line."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), 20) as line:
        line.sendall(sent)
        while part := line.recv(4096):
            found += part
    return found


def test_whatever_strangers_send_every_line_of_the_log_is_json(tiny_bundle: Callable[..., Bundle]) -> None:
    code = "from insula.cli.serve import serve; serve()"
    command = [sys.executable, "-c", code, str(tiny_bundle().path), "--port", "0", "--threads", "1", "--json-logs"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INSULA_")} | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        port = int(next(word for word in words if word.startswith("http")).rpartition(":")[2])
        answers = [asked(port, sent) for sent in (b"GARBAGE\r\n\r\n", UPGRADE, FORM)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert [answer.split(b" ")[1] for answer in answers] == [b"400", b"200", b"400"]
    lines: list[dict[str, Any]] = [json.loads(line) for line in errors.splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    told = [(line["logger"], line.get("said")) for line in lines if line["event"] == "library"]
    assert told == [
        ("uvicorn.error", "Invalid HTTP request received."),
        ("uvicorn.error", "Unsupported upgrade request."),
        ("python_multipart.multipart", None),
    ]
    assert "Doe" not in errors
    assert "Expected boundary" not in errors


def listened(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(server: run._Server, sockets: list[socket.socket]) -> None:
        warnings.warn_explicit("about Doe", RuntimeWarning, "/somewhere/other.py", 7)
        raise KeyboardInterrupt

    place = run.socket_on("127.0.0.1", 0)
    monkeypatch.setattr(run._Server, "run", ended)
    monkeypatch.setattr(run, "create_app", lambda _: None)
    monkeypatch.setattr(run, "socket_on", lambda *_: place)
    run.listen(Settings(host=host, port=0, api_key=SecretStr("k" * 20)), lambda _: None)


@pytest.mark.parametrize(("host", "count"), [("0.0.0.0", 1), ("::", 1), ("127.0.0.1", 0), ("localhost", 0)])
def test_an_address_that_others_can_reach_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str, count: int
) -> None:
    log.configure(json_lines=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        listened(host, monkeypatch)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    found = [line for line in lines if line["event"] == "plain http"]
    assert [(line["host"], line["level"]) for line in found] == [(host, "warning")] * count
    assert all("proxy with TLS" in line["next"] for line in found)


def test_a_warning_of_pythons_is_a_line_of_the_log_without_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(json_lines=True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = warnings._showwarning_orig  # type: ignore[attr-defined]  # not pytest's
        before = warnings.showwarning
        listened("127.0.0.1", monkeypatch)
        assert warnings.showwarning is before
    said = capsys.readouterr().err
    (line,) = (json.loads(one) for one in said.splitlines())
    assert (line["event"], line["kind"], line["at"]) == ("warned", "RuntimeWarning", "other.py:7")
    assert "Doe" not in said
