"""The runtime tells its maker nothing: no id of the machine, no store of events to be sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from insula.export.alone import predict as alone

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("words", [["-c", "import insula.infer.engine"], [alone.__file__, "--help"]])
def test_the_runtime_keeps_no_events_about_its_use(words: list[str], tmp_path: Path) -> None:
    told = {"CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}  # each would keep it silent
    env = {name: value for name, value in os.environ.items() if name not in told}
    env |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, *words], env=env, cwd=ROOT, capture_output=True, check=False, timeout=120)
    assert list(tmp_path.rglob("*")) == []
