"""Where the curves of a run lie, of each of its parts."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lightning")

from insula.train.lines import curves

pytestmark = pytest.mark.train


def test_each_part_of_a_resumed_run_has_curves_of_its_own(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        names.append(curves(tmp_path))
        (tmp_path / names[-1]).mkdir()
        (tmp_path / names[-1] / "metrics.csv").write_text("epoch\n")
    assert names == ["curves", "curves-2", "curves-3"]


def test_a_run_that_was_killed_before_its_first_epoch_has_its_curves_where_they_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / curves(tmp_path)).mkdir()
    assert curves(tmp_path) == "curves"
