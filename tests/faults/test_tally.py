"""What was tried is written down whole, and a failure fails its test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.tally import FILE, PLACE, End, Origin, Tally, commit, read

ROOT = Path(__file__).parents[2]
ENDING = """
import pytest

@pytest.fixture
def broken():
    raise OSError("no such place")

def test_passes(): pass
def test_fails_before_its_row(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert not "wrong"
def test_has_no_fixture(broken): pass
def test_lacks_a_program(): pytest.skip("dcmtk is not installed")
@pytest.mark.skipif(True, reason="the real scans are not here")
def test_lacks_scans(): pass
"""


def test_tries_are_written_down_and_read_back(tmp_path: Path) -> None:
    tally = Tally(tmp_path, "kills")
    tally.tried("kill -9 of the worker", 3, figures={"recovery, s": 1.5})
    tally.tried("kill -9 of the worker", 5)
    with pytest.raises(AssertionError, match="lost=1"):
        tally.tried("kill -9 of the node", 4, lost=1, doubled=9)
    with pytest.raises(AssertionError, match="nothing was tried"):
        tally.tried("nothing", 0)
    rate = tally.rates("photographs", 4, refused=3, flagged=1, taken=0)
    with pytest.raises(AssertionError):
        tally.rates("lost photographs", 4, refused=1, flagged=1, taken=0)
    found = read(tmp_path)
    assert [(one.what, one.tried, one.failures, one.wrong) for one in found.tries] == [
        ("kill -9 of the worker", 5, 0, False),
        ("kill -9 of the node", 4, 4, True),
        ("nothing", 0, 0, True),
    ]
    assert found.rates[0] == rate
    assert found.superseded == 0


def test_a_failure_that_a_newer_run_hides_is_counted_and_rows_say_where_they_are_from(tmp_path: Path) -> None:
    tally = Tally(tmp_path, "kills")
    with pytest.raises(AssertionError):
        tally.tried("kill -9 of the worker", 3, lost=1)
    tally.tried("kill -9 of the worker", 3)
    tally.tried("kill -9 of the node", 3)
    file = tmp_path / FILE
    old, *rest = map(json.loads, file.read_text().splitlines())
    assert all(line.pop("date") and line.pop("commit") == commit() for line in (old, rest[1]))
    file.write_text("".join(json.dumps(line) + "\n" for line in (old, *rest)))
    found = read(tmp_path)
    assert found.superseded == 1
    assert found.origins == {Origin(rest[0]["date"], rest[0]["commit"]): 1, Origin(): 1}


def test_how_each_test_ended_is_written_down_though_it_wrote_no_row(tmp_path: Path) -> None:
    (tmp_path / "test_ends.py").write_text(ENDING)
    words = ["-p", "tests.faults.conftest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *words, "test_ends.py"],
        cwd=tmp_path,
        env={**os.environ, PLACE: "kept", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert read(tmp_path / "kept").ends == (
        End("test_ends.py::test_passes", "passed"),
        End("test_ends.py::test_fails_before_its_row", "failed"),
        End("test_ends.py::test_has_no_fixture", "failed"),
        End("test_ends.py::test_lacks_a_program", "skipped", "dcmtk is not installed"),
        End("test_ends.py::test_lacks_scans", "skipped", "the real scans are not here"),
    )


def test_raw_logs_stand_beside_the_tries(tally: Tally) -> None:
    assert tally.log("node.log").parent == tally.folder / "logs" / "tally"
    assert tally.log("node.log").parent.is_dir()
