"""Processes that somebody began end with him, also where he was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_POOL = """
import os, sys, time
from insula.core import children
from tests.core.test_children import say
if __name__ == "__main__":
    with children.pool(2) as pool:
        list(pool.map(say, range(2)))
        print("begun", flush=True)
        time.sleep(600)
"""
_ENDS = """
import os, sys
from insula.core import children
children.end_with(int(sys.argv[1]))
print("ready", flush=True)
while True:
    pass
"""
ROOT = Path(__file__).parents[2]


def say(number: int) -> int:
    """What a process of the pool does: it says which one it is, and goes on for long enough that both have work."""
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    time.sleep(0.2)
    return number


def gone(pid: int, seconds: float = 60.0) -> bool:
    """Whether a process ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_a_pool_ends_with_its_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_POOL)
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout is not None
        pids = set()
        while (line := parent.stdout.readline().strip()) != "begun":
            pids.add(int(line))
        parent.kill()
        parent.wait()
        assert pids
        assert all(gone(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit of processor time ends it")
@pytest.mark.parametrize("stopped", [False, True])
def test_a_process_that_hangs_or_is_stopped_ends_when_the_pipe_is_closed(stopped: bool) -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", _ENDS, str(reading)], pass_fds=(reading,), stdout=subprocess.PIPE, text=True
    ) as child:
        os.close(reading)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        if stopped:
            child.send_signal(signal.SIGSTOP)
        os.close(writing)
        assert child.wait(60) == -signal.SIGKILL


def test_a_process_whose_pipe_was_closed_before_ends_at_once() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    done = subprocess.run([sys.executable, "-c", _ENDS, str(reading)], pass_fds=(reading,), check=False, timeout=60)
    os.close(reading)
    assert done.returncode == 1


def test_a_script_that_is_written_for_no_processes_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from insula.core import children\n"
        "print('runs', flush=True)\n"
        "with children.pool(2) as pool:\n"
        "    print(list(pool.map(abs, (-1, -2))))\n"
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=120)
    assert said.stdout.splitlines() == ["runs", "[1, 2]"]
