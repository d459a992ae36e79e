from __future__ import annotations

import time
from pathlib import Path

import pytest

from insula.scans.sandbox import Sandbox

KEPT = {"PATH", "HOME"}
TAKEN = ("INSULA_TRAIL_KEY", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "OPENAI_API_KEY", "GITHUB_TOKEN", "DATABASE_URL")


def environment(pid: int) -> list[bytes]:
    """What a process was started with; the system shows nothing until the program is in its place."""
    end = time.monotonic() + 60.0
    while not (found := Path(f"/proc/{pid}/environ").read_bytes()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found.split(b"\0")


def test_a_decoder_is_given_no_secret_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TAKEN:
        monkeypatch.setenv(name, "of the service alone")
    with Sandbox().start() as pool:
        pid = next(iter(pool._all))._process.pid
        given = environment(pid)
    names = {one.partition(b"=")[0].decode() for one in given}
    assert not names & set(TAKEN)
    assert {"TMPDIR", "OMP_NUM_THREADS"} <= names
    assert names >= KEPT
