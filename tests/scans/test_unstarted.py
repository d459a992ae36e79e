"""A decoding process that cannot be started leaves nothing behind."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from insula.core import scratch
from insula.scans.sandbox import Sandbox


def test_a_worker_that_cannot_be_started_leaves_neither_folder_nor_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    home, open_files = scratch.home(), Path("/proc/self/fd")
    with Sandbox() as pool:
        monkeypatch.setattr(subprocess, "Popen", no_memory)
        before = sorted(os.listdir(home)), len(os.listdir(open_files))
        with pytest.raises(OSError, match="no memory"):
            pool.run("insula.scans.worker:read_files", "a", {})
        assert (sorted(os.listdir(home)), len(os.listdir(open_files))) == before
