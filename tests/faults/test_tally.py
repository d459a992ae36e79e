"""What was tried is written down whole, and a failure fails its test."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.tally import Tally, read


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
    tries, rates = read(tmp_path)
    assert [(one.what, one.tried, one.failures) for one in tries] == [
        ("kill -9 of the worker", 5, 0),
        ("kill -9 of the node", 4, 4),
        ("nothing", 0, 0),
    ]
    assert rates[0] == rate


def test_raw_logs_stand_beside_the_tries(tally: Tally) -> None:
    assert tally.log("node.log").parent == tally.folder / "logs" / "tally"
    assert tally.log("node.log").parent.is_dir()
