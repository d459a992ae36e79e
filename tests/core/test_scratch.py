"""Temporary folders of a process that was killed are removed by the next one, and those of a living one are not."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from insula.core import scratch

_MAKES = """
import os, signal, sys
from pathlib import Path
from typing import Any
from insula.core import scratch
place = Path(sys.argv[1])
with scratch.folder(place) as made:
    (made / "scan").write_text("of a patient")
    print(made, flush=True)
    sys.stdin.read()
    if len(sys.argv) > 2:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def process(place: Path, *more: str) -> tuple[subprocess.Popen[str], Path]:
    made = subprocess.Popen(
        [sys.executable, "-c", _MAKES, str(place), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert made.stdout is not None
    return made, Path(made.stdout.readline().strip())


def test_scans_of_a_killed_process_are_removed_by_the_next_one(tmp_path: Path) -> None:
    living, its = process(tmp_path)
    killed, left = process(tmp_path, "killed")
    killed.communicate("")
    assert killed.returncode == -9
    assert (left / "scan").is_file()
    with scratch.folder(tmp_path) as mine:
        assert not left.exists()
        assert (its / "scan").is_file()
        assert mine.stat().st_mode & 0o077 == 0
    assert not mine.exists()
    living.communicate("")
    assert living.returncode == 0
    assert [path for path in tmp_path.iterdir() if path != mine.parent] == []


def test_what_is_no_home_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "scan").touch()
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{scratch.PREFIX}file").touch()
    (tmp_path / "other").mkdir()
    assert scratch.tidy(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 4
    assert (elsewhere / "scan").is_file()


def test_a_home_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    first = scratch.home(tmp_path)
    first.rmdir()
    with scratch.folder(tmp_path) as made:
        assert made.parent == scratch.home(tmp_path) != first


def test_a_fork_has_a_home_of_its_own(tmp_path: Path) -> None:
    mine = scratch.home(tmp_path)
    pid = os.fork()
    if not pid:
        os._exit(int(scratch.home(tmp_path) == mine))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert mine.is_dir()


def test_a_home_that_is_taken_for_a_dead_one_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    real = tempfile.mkdtemp

    def made(**told: Any) -> str:
        found: str = real(**told)
        if not taken:  # another process makes its own home now
            taken.append(Path(found))
            assert scratch.tidy(tmp_path) == 1
        return found

    monkeypatch.setattr(tempfile, "mkdtemp", made)
    with scratch.folder(tmp_path) as mine:
        assert mine.parent != taken[0]
        assert not taken[0].exists()


def test_what_a_killed_process_left_beside_its_goal_is_removed_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    goal = tmp_path / "bundle[1]"
    left = tmp_path / ".bundle[1].abc.new"
    left.mkdir()
    (left / "half").touch()
    other = tmp_path / ".bundle.abc.new"
    other.mkdir()
    with scratch.beside(goal) as first, scratch.beside(goal) as second:
        assert first != second
        assert first.is_dir()
        (second / "whole").touch()
        second.rename(goal)
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, goal.name]
    assert (goal / "whole").is_file()


def test_a_file_system_without_locks_is_used_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", none)
    with scratch.beside(tmp_path / "goal") as made, scratch.folder(tmp_path) as other:
        assert made.is_dir()
        assert other.is_dir()
        assert scratch.tidy(tmp_path, "*") == 0
    assert not made.exists()


def test_a_home_that_another_thread_made_anew_is_kept(tmp_path: Path) -> None:
    first = scratch.home(tmp_path)
    assert scratch.home(tmp_path, anew=True) == first
    first.rmdir()
    assert scratch.home(tmp_path, anew=True) != first
