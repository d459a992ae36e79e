"""Decoding processes and kills: of one of them, and of the process that began them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.core.test_children import gone

from insula.core.errors import InsulaError, LimitError
from insula.scans import sandbox
from insula.scans.sandbox import Sandbox

FAULTS = "tests.scans.made_faults:"
ROOT = Path(__file__).parents[2]
_PARENT = """
import os, sys, threading
from insula.scans.sandbox import Sandbox
box = Sandbox(1, seconds=600.0)
print(box.run("tests.scans.made_faults:leaves", "x", {}).facts["pid"], flush=True)
given = ("tests.scans.made_faults:litter", "x", {"told": sys.argv[1]})
busy = threading.Thread(target=box.run, args=given, daemon=True)
busy.start()
busy.join()
"""


def test_a_task_whose_worker_is_killed_once_is_done_by_another(tmp_path: Path) -> None:
    with Sandbox(1) as own:
        answer = own.run(FAULTS + "killed_once", "x", {"told": str(tmp_path / "told")})
        assert answer.arrays[0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_task_whose_workers_are_killed_again_says_that_somebody_did_it() -> None:
    with Sandbox(1) as own:
        with pytest.raises(LimitError) as found:
            own.run(FAULTS + "killed", "x", {})
        assert sandbox.was_killed(found.value)
        with pytest.raises(InsulaError) as other:
            own.run(FAULTS + "untyped", "x", {})
        assert not sandbox.was_killed(other.value)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit of processor time ends it")
def test_a_decoder_that_spins_ends_with_its_parent_that_was_killed(tmp_path: Path) -> None:
    """And the next process removes what it had unpacked."""
    told, place = tmp_path / "told", tmp_path / "tmp"
    place.mkdir()
    env = os.environ | {"TMPDIR": str(place), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", _PARENT, str(told)]
    with subprocess.Popen(words, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        while not (told.exists() and told.read_text(encoding="utf-8")):
            assert parent.poll() is None
            time.sleep(0.02)
        parent.kill()
    assert gone(pid)
    left = Path(told.read_text(encoding="utf-8"))
    assert (left / "left.bin").is_file()
    next_one = "from insula.core import scratch\nwith scratch.folder(): pass"
    subprocess.run([sys.executable, "-c", next_one], env=env, check=True, timeout=60)
    assert list(place.iterdir()) == []
